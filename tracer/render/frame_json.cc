#include "tracer/render/frame_json.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace stucktrace::render {
namespace {

using Json = nlohmann::ordered_json;

template <class Frame>
Json list_of(const std::vector<Frame>& frames) {
  Json list = Json::array();
  for (const Frame& frame : frames) list.push_back(frame_json(frame));
  return list;
}

}  // namespace

Json frame_json(const model::NativeFrame& frame) {
  return {{"pc", fmt::format("{:#x}", frame.pc)},
          {"function", frame.function},
          {"module", frame.module},
          {"offset", fmt::format("{:#x}", frame.offset)},
          {"file", frame.file},
          {"line", frame.line}};
}

Json frame_json(const model::PythonFrame& frame) {
  return {{"function", frame.function}, {"file", frame.file}, {"line", frame.line}};
}

Json frames_json(const std::vector<model::NativeFrame>& frames) {
  return list_of(frames);
}

Json frames_json(const std::vector<model::PythonFrame>& frames) {
  return list_of(frames);
}

}  // namespace stucktrace::render
