#pragma once

#include <nlohmann/json_fwd.hpp>

#include "tracer/model/comparison.h"

namespace stucktrace::render {

// The report's "comparison".
nlohmann::ordered_json comparison_json(const model::Comparison& comparison);

}  // namespace stucktrace::render
