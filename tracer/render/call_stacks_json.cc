#include "tracer/render/call_stacks_json.h"

#include <cstddef>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "tracer/render/frame_json.h"

namespace stucktrace::render {
namespace {

using Json = nlohmann::ordered_json;

// Milliseconds, to the microsecond.
double exact_ms(base::Nanoseconds duration) {
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
  return static_cast<double>(us) / 1000;
}

}  // namespace

Json call_stacks_json(const TraceLanes& lanes, base::Instant taken_at) {
  Json calls = Json::array();
  Json stacks = Json::array();
  std::map<std::shared_ptr<const model::StackSeen>, std::size_t> numbers;
  for (const Lane& lane : lanes.lanes()) {
    for (const LaneSpan& span : lane.spans) {
      if (!span.stack) continue;
      const auto [number, is_new] = numbers.try_emplace(span.stack, stacks.size());
      if (is_new) {
        stacks.push_back({{"stack", frames_json(span.stack->frames)},
                          {"python", frames_json(span.stack->python)},
                          {"note", span.stack->note}});
      }
      calls.push_back({{"pid", lane.pid.value()},
                       {"tid", lane.tid.value()},
                       {"role", lane.role},
                       {"call", span.text},
                       {"at_ms", exact_ms(span.start - taken_at)},
                       {"took_ms", exact_ms(span.end - span.start)},
                       {"open", span.open},
                       {"stack", number->second}});
    }
  }
  const std::size_t left_out = lanes.left_out().stacks;
  if (calls.empty() && left_out == 0) return nullptr;
  return {{"calls", std::move(calls)}, {"stacks", std::move(stacks)}, {"left_out", left_out}};
}

}  // namespace stucktrace::render
