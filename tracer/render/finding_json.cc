#include "tracer/render/finding_json.h"

#include <nlohmann/json.hpp>

namespace stucktrace::render {

nlohmann::ordered_json link_json(const model::ChainLink& link) {
  return {{"pid", link.pid.value()},
          {"tid", link.tid.value()},
          {"who", link.who},
          {"what", link.what},
          {"on", link.on}};
}

}  // namespace stucktrace::render
