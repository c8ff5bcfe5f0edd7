#pragma once

#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "syscalls/decode.h"
#include "tracer/base/clock.h"
#include "tracer/kernel/procfs.h"
#include "tracer/model/event.h"

namespace stucktrace::engine {

// Under a filter most calls run without a stop, also those that threads get stuck in. This finds
// them by looking at /proc/PID/task/TID/syscall now and then: a call that a thread has been in for
// two looks, without having been woken between, becomes an event, and so does its end. Stops
// nothing. One thread at a time.
class CallWatch {
 public:
  struct Options {
    base::Nanoseconds shortest = std::chrono::milliseconds{90};  // a wait that is told
    base::Nanoseconds pause = std::chrono::milliseconds{45};     // between looks, at least
    // Looking may take this part of the time: with many threads looks become rarer.
    int time_share = 50;
    syscalls::Payload payload = syscalls::Payload::kText;
  };

  explicit CallWatch(Options options, kernel::Procfs procfs = kernel::Procfs{})
      : options_(options), procfs_(std::move(procfs)) {}

  // Every event of the trace: which tasks there are, and which are in a call that stopped.
  void observe(const model::Event& event);
  // Events to be put into the trace now, in order; empty when it is too early for a look. `clock`
  // measures what the look costs.
  std::vector<model::Event> look(const base::Clock& clock);

 private:
  struct Task {
    base::Pid pid;
    bool in_stopped_call = false;  // its exit will be reported by a stop
    std::string line;              // the last look's
    std::string schedule;          // run time and turns then
    base::Instant since;           // when the call was first seen
    bool told = false;
    syscalls::RawCall call;
  };
  void begin(const model::Event& event, bool in_stopped_call);
  void look_at(base::Tid tid, Task& task, base::Instant now, std::vector<model::Event>& out);
  void leave(base::Tid tid, Task& task, base::Instant now, std::vector<model::Event>& out);
  void read_tables(base::Instant now, std::vector<model::Event>& out);

  Options options_;
  kernel::Procfs procfs_;
  std::map<base::Tid, Task> tasks_;
  std::unordered_map<base::Pid, std::vector<model::FdEntry>> tables_;  // as last told
  base::Instant next_look_;
  base::Instant next_tables_;
};

}  // namespace stucktrace::engine
