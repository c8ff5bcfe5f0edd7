#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <utility>

#include "tracer/engine/tracer.h"
#include "tracer/engine/woken_call.h"
#include "tracer/kernel/remote_memory.h"

// The stop of a tracee that is about to get a signal.

namespace stucktrace::engine {

using kernel::Stopped;

namespace {

bool is_fault(const siginfo_t& info) {
  const int signo = info.si_signo;
  return info.si_code > 0 && (signo == SIGSEGV || signo == SIGBUS || signo == SIGILL ||
                              signo == SIGFPE || signo == SIGTRAP || signo == SIGSYS);
}

// The first process of a pid namespace is treated by the kernel in another way while it is traced
// (kernel/signal.c, SIGNAL_UNKILLABLE): a fault that it does not handle does not end it but comes
// again for ever, and a SIGSTOP from its own namespace, which never reaches it otherwise, stops it.
enum class Due : std::uint8_t { kSignal, kNothing, kToBeUntraced };

Due due_to(const kernel::Procfs& procfs, const Tracee& tracee, const siginfo_t& info) {
  const bool fault = is_fault(info);
  // A sender outside of the namespace has no pid in it.
  const bool stop_from_inside = info.si_signo == SIGSTOP && info.si_code <= 0 && info.si_pid != 0;
  if (!fault && !stop_from_inside) return Due::kSignal;
  const auto status = procfs.status(tracee.pid);
  if (!status || status->ns_pids.empty() || status->ns_pids.back() != 1) return Due::kSignal;
  if (stop_from_inside) return Due::kNothing;
  const bool handled = ((status->sig_caught >> (info.si_signo - 1)) & 1U) != 0;
  return handled ? Due::kSignal : Due::kToBeUntraced;
}

bool has(std::uint64_t set, int signo) {
  return ((set >> (signo - 1)) & 1U) != 0;
}

// Such a signal does not even wake a task that is not traced (sig_ignored() in kernel/signal.c).
// But where SIGCONT has ended a stop, that did wake it.
bool is_ignored(const kernel::TaskStatus& status, const Tracee& tracee, int signo) {
  if (has(status.sig_ignored, signo)) return signo != SIGCONT || !tracee.continued;
  const bool by_default = signo == SIGCHLD || signo == SIGURG || signo == SIGWINCH ||
                          (signo == SIGCONT && !tracee.continued);
  return by_default && !has(status.sig_caught, signo);
}

}  // namespace

// A task that is attached to by PTRACE_ATTACH and has not stopped yet has no PTRACE_O_TRACEEXEC, so
// that the kernel sends it a SIGTRAP after an execve(2), as if by itself (ptrace_event() in
// include/linux/ptrace.h). It would die of it.
bool Tracer::is_trap_of_exec(base::Tid tid, const Stopped& stopped, int signo) const {
  if (signo != SIGTRAP || options_.style != kernel::TraceStyle::kAttach) return false;
  const auto info = kernel::siginfo(stopped);
  if (!info || info->si_code != SI_USER) return false;
  const auto status = procfs_.status(base::Pid{tid.value()});
  return status && !status->ns_pids.empty() && info->si_pid == status->ns_pids.back();
}

// A call that has ended because the task was woken for nothing goes on waiting. One with a time-out
// cannot: it would begin anew with each such signal.
void Tracer::spare_from(int signo, const Tracee& tracee, const Stopped& stopped) const {
  const auto call = kernel::interrupted_call(stopped);
  if (!call || call->result != -EINTR) return;
  const auto status = procfs_.status(tracee.pid, tracee.tid);
  if (!status || !is_ignored(*status, tracee, signo)) return;
  static_cast<void>(undo_wake(stopped, base::Nanoseconds{0}));
}

// In a stop after a call that has ended with EINTR: it would not have, and no signal is to come
// that says so. A sibling may take an ignored signal for which this thread was woken.
bool Tracer::woken_in_vain(const Tracee& tracee) const {
  const kernel::ProcessMemory memory(tracee.tid);
  if (!ends_when_woken(tracee.call, memory, base::Nanoseconds{0})) return false;
  const auto status = procfs_.status(tracee.pid, tracee.tid);
  if (!status) return false;
  const std::uint64_t coming = (status->pending | status->shared_pending) & ~status->sig_blocked;
  for (int signo = 1; signo <= 64; ++signo) {
    if (has(coming, signo) && !is_ignored(*status, tracee, signo)) return false;
  }
  return true;
}

// In a stop around a call: the next one is inside signal handling, where alone a call can be made
// to begin anew.
void Tracer::bring_stop(Tracee& tracee) {
  if (tracee.style == kernel::TraceStyle::kSeize) {
    static_cast<void>(kernel::interrupt(tracee.tid));
  } else if (!tracee.own_stop_pending) {
    tracee.own_stop_pending = kernel::send_stop(tracee.pid, tracee.tid).has_value();
  }
}

bool Tracer::stop_is_pending(const Tracee& tracee) const {
  const auto status = procfs_.status(tracee.pid, tracee.tid);
  constexpr std::uint64_t kStop = 1ULL << (SIGSTOP - 1);
  return !status || (status->pending & kStop) != 0;
}

// SIGCONT takes away a SIGSTOP that has not been taken yet (signal(7)), and ours is one.
void Tracer::look_for_own_stop(Tracee& tracee, const Stopped& stopped) {
  if (stop_is_pending(tracee)) return;
  tracee.own_stop_pending = tracee.preparing && kernel::send_stop(tracee.pid, tracee.tid);
  if (tracee.state == TraceeState::kAttaching) begin_to_follow(tracee, stopped);
}

// It takes those of all threads, and only one of them is told. But a SIGSTOP takes away a SIGCONT
// as well: not while one is to be seen, or while a thread waits for one.
void Tracer::resend_own_stops() {
  if (options_.style == kernel::TraceStyle::kSeize) return;
  constexpr std::uint64_t kContinue = 1ULL << (SIGCONT - 1);
  for (const base::Tid tid : table_.all()) {
    Tracee& tracee = *table_.find(tid);
    if (!tracee.own_stop_pending || tracee.parked || !tracee.pid || stop_is_pending(tracee))
      continue;
    const auto stat = procfs_.stat(tracee.pid, tid);
    if (!stat || stat->state == 't') continue;  // it has taken the stop
    const auto status = procfs_.status(tracee.pid, tid);
    if (!status || ((status->pending | status->shared_pending) & kContinue) != 0) continue;
    const bool stopped = std::ranges::any_of(table_.threads_of(tracee.pid), [&](base::Tid sibling) {
      return table_.find(sibling)->state == TraceeState::kGroupStopped;
    });
    if (stopped) continue;
    tracee.own_stop_resent = kernel::send_stop(tracee.pid, tid).has_value();
  }
}

void Tracer::on(Tracee& tracee, Stopped stopped, const kernel::SignalDelivery& stop) {
  if (stop.signo == SIGCONT && tracee.own_stop_pending) look_for_own_stop(tracee, stopped);
  const bool unseen = tracee.state == TraceeState::kAttaching ||
                      (tracee.state == TraceeState::kLeaving && tracee.own_stop_pending);
  if (unseen && is_trap_of_exec(tracee.tid, stopped, stop.signo)) {
    ++task_changes_;
    if (tracee.state == TraceeState::kAttaching) emitter_.exec(tracee.pid, tracee.tid);
    return resume(tracee, std::move(stopped));
  }
  if (stop.signo == SIGSTOP && tracee.own_stop_pending) {
    // The first one may have been on its way all the same: then there is another.
    tracee.own_stop_pending =
        std::exchange(tracee.own_stop_resent, false) && stop_is_pending(tracee);
    if (tracee.state == TraceeState::kAttaching) return attached(tracee, std::move(stopped));
    if (tracee.state == TraceeState::kLeaving) {
      static_cast<void>(undo_wake(stopped, longest_to_restart(tracee)));
      return let_go(tracee, std::move(stopped), 0);
    }
    if (tracee.preparing && prepare(tracee, stopped)) return;
    static_cast<void>(undo_wake(stopped, base::Nanoseconds{0}));
    return resume(tracee, std::move(stopped));
  }
  if (tracee.state == TraceeState::kLeaving) {
    // Under ATTACH our own SIGSTOP must come and be swallowed before the tracee can be left.
    if (tracee.own_stop_pending) return resume(tracee, std::move(stopped), stop.signo);
    return let_go(tracee, std::move(stopped), stop.signo);
  }
  if (tracee.state == TraceeState::kBeforeExec) {
    return resume(tracee, std::move(stopped), stop.signo);
  }
  model::SignalStop event;
  event.signo = stop.signo;
  Due due = Due::kSignal;
  if (const auto info = kernel::siginfo(stopped)) {
    event.code = info->si_code;
    if (info->si_code <= 0 || stop.signo == SIGCHLD) event.sender = base::Pid{info->si_pid};
    if (stop.signo == SIGSEGV || stop.signo == SIGBUS || stop.signo == SIGILL ||
        stop.signo == SIGFPE) {
      event.sender = base::Pid{};
      event.address = reinterpret_cast<std::uintptr_t>(info->si_addr);
    }
    due = due_to(procfs_, tracee, *info);
  }
  emitter_.emit(tracee.pid, tracee.tid, event);
  switch (due) {
    case Due::kSignal:
      spare_from(stop.signo, tracee, stopped);
      if (stop.signo == SIGCONT) tracee.continued = false;
      return resume(tracee, std::move(stopped), stop.signo);
    case Due::kNothing:
      return resume(tracee, std::move(stopped));
    case Due::kToBeUntraced:
      emitter_.emit(tracee.pid, tracee.tid,
                    model::Detached{"the first process of a pid namespace cannot end by its own "
                                    "fault while it is traced"});
      return let_go(tracee, std::move(stopped), 0);
  }
}

}  // namespace stucktrace::engine
