#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "syscalls/decode.h"
#include "tracer/base/clock.h"
#include "tracer/model/event.h"

namespace stucktrace::cli {

// A call that a thread is in.
struct OpenCall {
  base::Pid pid;
  base::Tid tid;
  std::uint64_t sequence = 0;  // of its SyscallEnter
  base::Instant since;
  syscalls::RawCall call;
  bool looked_up = false;  // no stop will tell of its end
};

// The calls that threads are in, by the events of the trace; says of each once that it has been on
// for the limit.
class BlockedCalls {
 public:
  explicit BlockedCalls(base::Nanoseconds limit) : limit_(limit) {}

  void observe(const model::Event& event);
  // Those that have come over the limit since the last time, by tid.
  std::vector<OpenCall> due(base::Instant now);
  // As far as has been observed the thread is in this very call.
  bool is_open(const OpenCall& call) const;

 private:
  struct Known {
    OpenCall call;
    bool told = false;
  };

  base::Nanoseconds limit_;
  std::unordered_map<base::Tid, Known> open_;
};

}  // namespace stucktrace::cli
