#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "tracer/base/ids.h"
#include "tracer/base/result.h"
#include "tracer/base/unique_fd.h"
#include "tracer/model/snapshot.h"

namespace stucktrace::unwind {

// Where a thread stood at one instant, told without stopping it.
struct StandingPoint {
  std::string syscall_text;  // /proc/TID/syscall as read
  std::string turns;         // how often it was on a CPU, see ThreadWatch
  // nullopt: running
  std::optional<model::SyscallLine> at;

  // The thread has not run between the two: same call, same place, and the scheduler has not
  // switched it. (A thread that ran must be switched out again before it shows as blocked.)
  bool unmoved_since(const StandingPoint& earlier) const {
    return at && earlier.at && !turns.empty() && syscall_text == earlier.syscall_text &&
           turns == earlier.turns;
  }
};

// Reads where one thread stands, again and again through descriptors kept open. Its turns on a CPU
// are those of schedstat, with run time and queueing time, or, where the kernel does not count
// these, the context-switch lines of status, which cost five times as much.
class ThreadWatch {
 public:
  // kGone, kDenied.
  static base::Result<ThreadWatch> open(base::Pid pid, base::Tid tid);
  base::Result<StandingPoint> read() const;

 private:
  ThreadWatch(base::Tid tid, base::UniqueFd syscall, base::UniqueFd turns)
      : tid_(tid), syscall_(std::move(syscall)), turns_(std::move(turns)) {}

  base::Tid tid_;
  base::UniqueFd syscall_;
  base::UniqueFd turns_;
};

}  // namespace stucktrace::unwind
