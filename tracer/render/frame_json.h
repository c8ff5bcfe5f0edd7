#pragma once

#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "tracer/model/frame.h"

namespace stucktrace::render {

// What all JSON formats say of a stack, innermost frame first.
nlohmann::ordered_json frame_json(const model::NativeFrame& frame);
nlohmann::ordered_json frame_json(const model::PythonFrame& frame);
nlohmann::ordered_json frames_json(const std::vector<model::NativeFrame>& frames);
nlohmann::ordered_json frames_json(const std::vector<model::PythonFrame>& frames);

}  // namespace stucktrace::render
