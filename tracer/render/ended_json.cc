#include "tracer/render/ended_json.h"

#include <chrono>
#include <nlohmann/json.hpp>

namespace stucktrace::render {

nlohmann::ordered_json ended_json(const model::Ended& ended) {
  using Json = nlohmann::ordered_json;
  Json limit = nullptr;
  if (ended.limit) limit = std::chrono::floor<std::chrono::milliseconds>(*ended.limit).count();
  Json processes = Json::array();
  for (const model::EndedProcess& process : ended.processes) {
    processes.push_back({{"pid", process.pid.value()},
                         {"comm", process.name},
                         {"known", to_string(process.known)}});
  }
  return {{"because", ended.because},
          {"words", ended.words},
          {"limit_ms", std::move(limit)},
          {"processes", std::move(processes)}};
}

}  // namespace stucktrace::render
