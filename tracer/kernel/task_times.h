#pragma once

#include <optional>

#include "tracer/base/clock.h"
#include "tracer/base/ids.h"
#include "tracer/base/unique_fd.h"

namespace stucktrace::kernel {

// How long one thread has been on a CPU, and able to run without one, since it began: the first two
// numbers of /proc/PID/task/TID/schedstat (Documentation/scheduler/sched-stats.rst). Exact while
// the thread is stopped. The file stays open: a reading costs one pread.
class TaskTimes {
 public:
  explicit TaskTimes(base::Tid task);
  struct Reading {
    base::Nanoseconds on_cpu{};
    base::Nanoseconds queued{};
  };
  // nullopt: the task is gone, or the kernel does not count (CONFIG_SCHED_INFO).
  std::optional<Reading> read() const;

 private:
  base::UniqueFd file_;
};

}  // namespace stucktrace::kernel
