#include "tracer/engine/thread_sample.h"

#include <utility>

#include "syscalls/multiplexed.h"
#include "tracer/kernel/own_threads.h"
#include "tracer/kernel/remote_memory.h"

namespace stucktrace::engine {
namespace {

using Line = model::Known<std::optional<model::SyscallLine>>;

bool same_line(const Line& a, const Line& b) {
  if (!a || !b) return a.has_value() == b.has_value();
  if (!*a || !*b) return a->has_value() == b->has_value();
  const model::SyscallLine& one = **a;
  const model::SyscallLine& other = **b;
  return one.call.number == other.call.number && one.call.args == other.call.args &&
         one.stack_pointer == other.stack_pointer && one.program_counter == other.program_counter;
}

Line read_line(const kernel::Procfs& procfs, base::Pid pid, base::Tid tid) {
  auto line = procfs.syscall(pid, tid);
  if (line) {
    if (*line) (*line)->call = syscalls::unfolded((*line)->call, kernel::ProcessMemory(tid));
    return *std::move(line);
  }
  if (line.error().kind == base::ErrorKind::kDenied) return model::unknown("no ptrace permission");
  return model::unknown(line.error().message());
}

// Blocked in a call that could be read. Nothing is asked later of threads that run or have ended.
bool stood(const ThreadSample& sample) {
  const Pulse& pulse = sample.pulse;
  const bool blocked = pulse.state == 'S' || pulse.state == 'D';
  return blocked && pulse.line && pulse.line->has_value() && !pulse.schedule.empty();
}

base::Result<ThreadSample> read_sample(const kernel::Procfs& procfs, base::Pid pid, base::Tid tid,
                                       const ThreadSample* before = nullptr) {
  ThreadSample sample;
  // First of all, so that a step between these reads shows too.
  std::string schedule = procfs.schedule(pid, tid).value_or(std::string{});
  if (before != nullptr && stood(*before) && schedule == before->pulse.schedule) {
    sample = *before;
    sample.taken_over = true;
    return sample;
  }
  const auto stat = procfs.stat(pid, tid);
  if (!stat) return std::unexpected(stat.error());
  const auto status = procfs.status(pid, tid);
  if (!status) return std::unexpected(status.error());
  sample.pulse = {stat->state,
                  stat->start_time,
                  {status->voluntary_switches, status->involuntary_switches,
                   stat->user_ticks + stat->system_ticks},
                  read_line(procfs, pid, tid),
                  std::move(schedule)};
  sample.comm = stat->comm;
  sample.tracer = kernel::tracer_process(status->tracer);
  sample.ns_pids = status->ns_pids;
  return sample;
}

}  // namespace

const ThreadSample* SampleBook::before(base::Tid tid) const {
  const auto at = before_.find(tid);
  return at != before_.end() ? &at->second : nullptr;
}

void SampleBook::keep(base::Tid tid, const ThreadSample& sample) {
  if (!sample.taken_over) kept_.insert_or_assign(tid, sample);
}

void SampleBook::turn() {
  before_ = std::exchange(kept_, {});
}

base::Result<ThreadSample> sample_thread(const kernel::Procfs& procfs, base::Pid pid, base::Tid tid,
                                         const ThreadSample* before) {
  auto sample = read_sample(procfs, pid, tid, before);
  if (sample && !sample->taken_over) {
    sample->wchan = procfs.wchan(pid, tid).value_or(std::string{});
  }
  return sample;
}

kernel::Procfs near_threads(const kernel::Procfs& procfs, base::Pid pid, std::size_t threads) {
  constexpr std::size_t kFew = 4;
  return threads > kFew ? procfs.near(pid) : procfs;
}

bool stands_still(const kernel::Procfs& procfs, base::Pid pid, base::Tid tid, const Pulse& before) {
  if (!before.schedule.empty()) {
    return same_line(read_line(procfs, pid, tid), before.line) &&
           procfs.schedule(pid, tid) == before.schedule;
  }
  const auto now = read_sample(procfs, pid, tid);
  if (!now) return false;
  const Pulse& after = now->pulse;
  return after.state == before.state && after.start_time == before.start_time &&
         after.counters == before.counters && same_line(after.line, before.line);
}

}  // namespace stucktrace::engine
