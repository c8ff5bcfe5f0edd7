#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "syscalls/table.h"
#include "tracer/base/clock.h"
#include "tracer/model/event.h"
#include "tracer/model/fd_tracker.h"
#include "tracer/model/task_tree.h"
#include "tracer/model/timeline.h"

namespace stucktrace::model {

// Counts calls instead of keeping them: by call, by process and by descriptor. Its size depends on
// how many different ones there are, not on the length of the trace.
class CallSummary final : public EventSink {
 public:
  struct Totals {
    std::uint64_t calls = 0;
    std::uint64_t errors = 0;
    base::Nanoseconds wall{};
    base::Nanoseconds longest{};
    base::Nanoseconds system{};  // on a CPU in the kernel
    base::Nanoseconds longest_system{};
    base::Nanoseconds blocked{};  // asleep: neither on a CPU nor queued for one
    std::uint64_t measured = 0;   // calls whose `system` and `blocked` are known
  };
  struct ByCall : Totals {
    std::string name;
  };
  struct ByProcess : Totals {
    std::string role;  // "P2"
    base::Pid pid;
    std::string comm;
  };
  struct ByDescriptor : Totals {
    std::string role;
    base::Pid pid;
    int fd = -1;
    std::string what;  // "pipe:[25725]", a path; "" unknown; raw bytes
    std::uint64_t bytes_in = 0;
    std::uint64_t bytes_out = 0;
  };

  void on_event(const Event& event) override;

  // By wall time, longest first; equal ones by name.
  std::vector<ByCall> by_call() const;
  std::vector<ByProcess> by_process() const;
  std::vector<ByDescriptor> by_descriptor() const;
  Totals total() const { return total_; }

 private:
  void count(const Call& call);

  TaskTree tasks_;
  FdTracker fds_;
  CallPairer calls_;
  Totals total_;
  std::map<std::pair<syscalls::Abi, std::int64_t>, Totals> by_call_;
  std::map<std::string, ByProcess> by_process_;  // by role: pids come again
  std::map<std::tuple<std::string, int, std::string>, ByDescriptor> by_descriptor_;
};

}  // namespace stucktrace::model
