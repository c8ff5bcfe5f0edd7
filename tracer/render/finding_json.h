#pragma once

#include <nlohmann/json_fwd.hpp>

#include "tracer/model/verdict.h"

namespace stucktrace::render {

// What all JSON formats say of a link of a finding's chain, in the same words.
nlohmann::ordered_json link_json(const model::ChainLink& link);

}  // namespace stucktrace::render
