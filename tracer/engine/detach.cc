#include <fmt/format.h>

#include <cerrno>
#include <csignal>
#include <utility>

#include "tracer/engine/tracer.h"
#include "tracer/engine/woken_call.h"
#include "tracer/kernel/remote_memory.h"

namespace stucktrace::engine {

using kernel::Stopped;
using kernel::Waiter;
using kernel::WaitHow;

void Tracer::detach_all(const std::string& because, Outcome& outcome) {
  for (const base::Tid tid : table_.all()) {
    Tracee& tracee = *table_.find(tid);
    if (tracee.state != TraceeState::kBeforeExec) {
      emitter_.emit(tracee.pid, tracee.tid, model::Detached{because});
    }
    if (tracee.parked) {
      Stopped stopped = std::move(*tracee.parked);
      tracee.parked.reset();
      tracee.state = TraceeState::kLeaving;
      let_go(tracee, std::move(stopped), std::exchange(tracee.held_signal, 0));
      continue;
    }
    ask_to_stop(tracee);
  }
  const base::Instant until = clock_.now() + options_.detach_limit;
  while (!table_.empty() && clock_.now() < until) {
    kernel::WaitReport report;
    const Waiter::Outcome got = waiter_.next(WaitHow::kBlock, report);
    if (got == Waiter::Outcome::kReport) on_leaving(report);
    if (got == Waiter::Outcome::kInterrupted) resend_own_stops();  // a tick
    if (got == Waiter::Outcome::kNoTracees || got == Waiter::Outcome::kFailed) break;
  }
  // What did not stop is in an uninterruptible sleep; the kernel detaches it when the tracer ends.
  // A SIGSTOP of ours that it has yet to take must not stop it then.
  for (const base::Tid tid : table_.all()) {
    const Tracee& tracee = *table_.find(tid);
    ++outcome.left_behind;
    if (tracee.own_stop_pending) static_cast<void>(kernel::send_signal(tracee.pid, SIGCONT));
    log_.say(base::LogLevel::kNormal,
             fmt::format("thread {} did not stop within the limit; it is released when this "
                         "process ends",
                         tid));
    table_.remove(tid);
  }
}

void Tracer::ask_to_stop(Tracee& tracee) {
  tracee.state = TraceeState::kLeaving;
  if (tracee.style == kernel::TraceStyle::kSeize) {
    static_cast<void>(kernel::interrupt(tracee.tid));
    return;
  }
  if (tracee.own_stop_pending) return;
  // A parent in vfork(2) or a task in D state would keep our SIGSTOP for later and stop when nobody
  // traces it any more: it is left to the kernel instead.
  const auto stat = procfs_.stat(tracee.pid, tracee.tid);
  if (stat && stat->state == 'D') return;
  tracee.own_stop_pending = kernel::send_stop(tracee.pid, tracee.tid).has_value();
}

void Tracer::on_leaving(const kernel::WaitReport& report) {
  if (table_.find(report.tid) == nullptr) {
    if (!report.status.stopped()) return;
    Tracee& late = table_.add(report.tid, base::Pid{report.tid.value()}, options_.style,
                              TraceeState::kLeaving);
    // The first stop of a task made meanwhile; under ATTACH it is the automatic SIGSTOP itself.
    const kernel::Stop stop = read_stop(report, late.style);
    const auto* delivery = std::get_if<kernel::SignalDelivery>(&stop);
    const int signo = delivery != nullptr && delivery->signo != SIGSTOP ? delivery->signo : 0;
    return let_go(late, Stopped{report.tid}, signo);
  }
  dispatch(report);
}

// This stop has taken the place of the one we asked for, but not its effect: a call that ends when
// it is woken does so, also if it has only begun. Detaching here would wake it as well
// (__ptrace_unlink() in kernel/ptrace.c). That can be put right in a stop inside signal handling
// alone.
void Tracer::leave_at_call(Tracee& tracee, Stopped stopped, const kernel::SyscallInfo& info) {
  const kernel::ProcessMemory memory(tracee.tid);
  if (info.op == kernel::SyscallInfo::Op::kEntry && ends_when_woken(info.call, memory, kAnyWait)) {
    tracee.call = info.call;
    tracee.just_begun = true;
    return leave_at_next_stop(tracee, std::move(stopped));
  }
  const bool woken = info.op == kernel::SyscallInfo::Op::kExit && info.result.value == -EINTR &&
                     ends_when_woken(tracee.call, memory, longest_to_restart(tracee));
  if (!woken) return let_go(tracee, std::move(stopped), 0);
  leave_at_next_stop(tracee, std::move(stopped));
}

void Tracer::leave_at_next_stop(Tracee& tracee, Stopped stopped) {
  bring_stop(tracee);
  resume(tracee, std::move(stopped));
}

base::Nanoseconds Tracer::longest_to_restart(const Tracee& tracee) {
  return tracee.just_begun ? kAnyWait : kBriefWait;
}

void Tracer::let_go(Tracee& tracee, Stopped stopped, int signo) {
  put_clone_flags_back(tracee, stopped);
  if (tracee.own_stop_pending) {
    static_cast<void>(kernel::resume(std::move(stopped), kernel::Resume::kFreely, signo));
    return;  // its own SIGSTOP has to come first
  }
  static_cast<void>(kernel::detach(std::move(stopped), signo));
  table_.remove(tracee.tid);
}

}  // namespace stucktrace::engine
