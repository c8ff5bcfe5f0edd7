#pragma once

#include <sched.h>

#include <cstdint>
#include <optional>

#include "tracer/base/ids.h"
#include "tracer/base/result.h"

namespace stucktrace::kernel {

// Where a thread of ours may run and with which class. Never used on a tracee.

// A set of CPUs, as sched_getaffinity(2) gives it.
class CpuSet {
 public:
  static CpuSet only(int cpu);
  bool contains(int cpu) const;
  int count() const { return CPU_COUNT(&set_); }
  // The same without one CPU; unchanged if nothing would be left.
  CpuSet without(int cpu) const;
  const cpu_set_t& raw() const { return set_; }
  cpu_set_t& raw() { return set_; }

 private:
  cpu_set_t set_{};
};

// The calling thread if `thread` is 0. Fails on machines with more CPUs than cpu_set_t holds
// (1024): placement is then left alone.
base::Result<CpuSet> affinity(base::Tid thread = {});
base::Result<void> set_affinity(const CpuSet& cpus, base::Tid thread = {});

enum class SchedClass : std::uint8_t {
  kOther,  // SCHED_OTHER
  kIdle,   // SCHED_IDLE: a CPU that runs nothing else counts as idle (sched(7))
};
// Leaving SCHED_IDLE needs CAP_SYS_NICE, or an RLIMIT_NICE that allows the thread's nice value
// (sched(7)); entering needs nothing.
base::Result<void> set_sched_class(SchedClass sched_class, base::Tid thread = {});
// Tried out on a thread made for it.
bool may_leave_idle_class();

// The CPU a task last ran on (proc(5), /proc/PID/stat field 39); nullopt if it is gone. Costs some
// 5 µs.
std::optional<int> last_cpu(base::Tid task);
// How many tasks of the machine are able to run just now (proc(5), /proc/loadavg).
std::optional<int> runnable_tasks();
// The state letter of a thread of this process ("R" runnable); '\0' if it cannot be read.
char own_thread_state(base::Tid thread);

}  // namespace stucktrace::kernel
