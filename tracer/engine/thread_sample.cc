#include "tracer/engine/thread_sample.h"

namespace stucktrace::engine {
namespace {

bool same_line(const std::optional<model::SyscallLine>& a,
               const std::optional<model::SyscallLine>& b) {
  if (!a || !b) return !a && !b;
  return a->call.number == b->call.number && a->call.args == b->call.args &&
         a->stack_pointer == b->stack_pointer && a->program_counter == b->program_counter;
}

model::Known<std::optional<model::SyscallLine>> read_line(const kernel::Procfs& procfs,
                                                          base::Pid pid, base::Tid tid) {
  const auto line = procfs.syscall(pid, tid);
  if (line) return *line;
  if (line.error().kind == base::ErrorKind::kDenied) return model::unknown("no ptrace permission");
  return model::unknown(line.error().message());
}

base::Result<ThreadSample> read_sample(const kernel::Procfs& procfs, base::Pid pid, base::Tid tid) {
  const auto stat = procfs.stat(pid, tid);
  if (!stat) return std::unexpected(stat.error());
  const auto status = procfs.status(pid, tid);
  if (!status) return std::unexpected(status.error());
  ThreadSample sample;
  sample.pulse = {stat->state,
                  stat->start_time,
                  {status->voluntary_switches, status->involuntary_switches,
                   stat->user_ticks + stat->system_ticks},
                  read_line(procfs, pid, tid)};
  sample.comm = stat->comm;
  sample.tracer = status->tracer;
  sample.ns_pids = status->ns_pids;
  return sample;
}

}  // namespace

bool Pulse::operator==(const Pulse& other) const {
  if (state != other.state || start_time != other.start_time || counters != other.counters) {
    return false;
  }
  if (!line || !other.line) return line.has_value() == other.line.has_value();
  return same_line(*line, *other.line);
}

base::Result<ThreadSample> sample_thread(const kernel::Procfs& procfs, base::Pid pid,
                                         base::Tid tid) {
  auto sample = read_sample(procfs, pid, tid);
  if (sample) sample->wchan = procfs.wchan(pid, tid).value_or(std::string{});
  return sample;
}

bool stands_still(const kernel::Procfs& procfs, base::Pid pid, base::Tid tid, const Pulse& before) {
  const auto now = read_sample(procfs, pid, tid);
  return now && now->pulse == before;
}

}  // namespace stucktrace::engine
