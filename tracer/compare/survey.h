#pragma once

#include <cstdint>
#include <unordered_set>

#include "tracer/compare/task_follower.h"
#include "tracer/model/event.h"

namespace stucktrace::compare {

// What has to be known of a whole trace before any of it can be named. For who goes through the
// events anyhow: it spares a pass over them.
struct Survey {
  TaskFollower tasks;
  std::unordered_set<std::int32_t> numbers;  // pids and tids

  void observe(const model::Event& event);
};

}  // namespace stucktrace::compare
