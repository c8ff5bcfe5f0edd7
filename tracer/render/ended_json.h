#pragma once

#include <nlohmann/json_fwd.hpp>

#include "tracer/model/verdict.h"

namespace stucktrace::render {

// The report's "ended".
nlohmann::ordered_json ended_json(const model::Ended& ended);

}  // namespace stucktrace::render
