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
  std::string switches;      // the context-switch lines of /proc/TID/status
  // nullopt: running
  std::optional<model::SyscallLine> at;

  // The thread has not run between the two: same call, same place, and the scheduler has not
  // switched it. (A thread that ran must be switched out again before it shows as blocked.)
  bool unmoved_since(const StandingPoint& earlier) const {
    return at && earlier.at && !switches.empty() && syscall_text == earlier.syscall_text &&
           switches == earlier.switches;
  }
};

// Reads where one thread stands, again and again through descriptors kept open.
class ThreadWatch {
 public:
  // kGone, kDenied.
  static base::Result<ThreadWatch> open(base::Pid pid, base::Tid tid);
  base::Result<StandingPoint> read() const;

 private:
  ThreadWatch(base::Tid tid, base::UniqueFd syscall, base::UniqueFd status)
      : tid_(tid), syscall_(std::move(syscall)), status_(std::move(status)) {}

  base::Tid tid_;
  base::UniqueFd syscall_;
  base::UniqueFd status_;
};

}  // namespace stucktrace::unwind
