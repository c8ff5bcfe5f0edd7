#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <utility>

#include "syscalls/multiplexed.h"
#include "tracer/engine/tracer.h"
#include "tracer/engine/woken_call.h"
#include "tracer/kernel/remote_memory.h"

namespace stucktrace::engine {

using kernel::Stopped;
using syscalls::RawCall;
using syscalls::RawResult;
using syscalls::Sys;

namespace {

// include/linux/errno.h: results that only a tracer sees; the kernel restarts the call.
constexpr std::int64_t kErestartSys = -512;
constexpr std::int64_t kErestartNoIntr = -513;
constexpr std::int64_t kErestartNoHand = -514;
constexpr std::int64_t kErestartRestartBlock = -516;

bool will_restart(std::int64_t result) {
  return result == kErestartSys || result == kErestartNoIntr || result == kErestartNoHand ||
         result == kErestartRestartBlock;
}

bool is_restart_syscall(const RawCall& call) {
  return syscalls::sys_of(call.abi, call.number) == Sys::restart_syscall;
}

// What there is to be put back in the new task as well: it has copies of its maker's registers, and
// of its memory if that is not the same.
std::optional<Tracee::CloneFlags> in_child(const std::optional<Tracee::CloneFlags>& of_maker) {
  const bool same =
      of_maker && of_maker->in_memory.value() != 0 && (of_maker->flags & CLONE_VM) != 0;
  return same ? std::nullopt : of_maker;
}

}  // namespace

// The clone flags of the call a task is in; nullopt if it is no clone or they cannot be read.
std::optional<std::uint64_t> Tracer::clone_flags(const Tracee& maker, const Stopped& stopped) {
  RawCall call = maker.call;
  // A filter lets the call itself pass without a stop.
  if (maker.state != TraceeState::kInSyscall) {
    const auto interrupted = kernel::interrupted_call(stopped);
    if (!interrupted) return std::nullopt;
    call = interrupted->call;
  }
  switch (syscalls::sys_of(call.abi, call.number)) {
    case Sys::clone:
      return call.args[0];
    case Sys::clone3: {
      std::uint64_t flags = 0;  // first field of struct clone_args (clone(2))
      if (kernel::ProcessMemory(maker.tid).read_value(base::RemoteAddr{call.args[0]}, flags)) {
        return flags;
      }
      return std::nullopt;
    }
    case Sys::fork:
    case Sys::vfork:
      return 0;
    default:
      return std::nullopt;
  }
}

void Tracer::on(Tracee& tracee, Stopped stopped, const kernel::SyscallStop&) {
  const auto info = kernel::syscall_info(stopped);
  if (tracee.state == TraceeState::kLeaving) {
    if (!info) return let_go(tracee, std::move(stopped), 0);
    return leave_at_call(tracee, std::move(stopped), *info);
  }
  if (!info) {
    if (info.error().kind == base::ErrorKind::kGone) return;
    resume(tracee, std::move(stopped));
    return;
  }
  if (info->op == kernel::SyscallInfo::Op::kEntry) {
    const RawCall call = syscalls::unfolded(info->call, kernel::ProcessMemory(tracee.tid));
    enter_call(tracee, stopped, call);
    if (step_aside(tracee, stopped, call)) return;
    follow_untraced_clone(tracee, stopped, call);
  } else if (info->op == kernel::SyscallInfo::Op::kExit) {
    put_clone_flags_back(tracee, stopped);
    const bool in_vain = info->result.value == -EINTR && woken_in_vain(tracee);
    exit_call(tracee, info->result);
    if (in_vain) bring_stop(tracee);
  }
  resume(tracee, std::move(stopped));
}

void Tracer::tell_entry(const Tracee& tracee, const Stopped& stopped, bool open_at_attach) {
  if (!stacks_ || !stacks_->wants(tracee.call)) {
    return emitter_.enter(tracee.pid, tracee.tid, tracee.call, open_at_attach);
  }
  // The call begins when the thread goes on: what the stack takes is not the call's time.
  model::StackSeen stack = stacks_->take(tracee.pid, stopped);
  emitter_.put_off(clock_.now());
  emitter_.enter(tracee.pid, tracee.tid, tracee.call, open_at_attach);
  emitter_.emit(tracee.pid, tracee.tid, std::move(stack));
}

void Tracer::enter_call(Tracee& tracee, const Stopped& stopped, const RawCall& call) {
  if (tracee.restarting) {
    tracee.restarting = false;
    if (is_restart_syscall(call) || call.number == tracee.call.number) {
      tracee.state = TraceeState::kInSyscall;
      return;  // the call that was open when we came goes on
    }
    // A signal handler ran instead: the call ended for now.
    if (tracee.call_reported) {
      emitter_.exit(tracee.pid, tracee.tid, tracee.call, RawResult{kErestartSys, true});
    }
  }
  tracee.state = TraceeState::kInSyscall;
  // restart_syscall(2) continues the interrupted call; its registers still hold that call's
  // arguments and its number says nothing.
  const bool continues = is_restart_syscall(call) && tracee.call.number >= 0;
  if (!continues) tracee.call = call;
  tracee.call_reported = emitter_.wants(tracee.call);
  if (!tracee.call_reported) return;
  tell_entry(tracee, stopped, false);
  if (!options_.measure_calls) return;
  if (!tracee.times) tracee.times.emplace(tracee.tid);
  tracee.at_entry = tracee.times->read();
}

// The time of a call between its two stops.
std::optional<model::CallTimes> Tracer::time_spent(Tracee& tracee) {
  const auto before = std::exchange(tracee.at_entry, std::nullopt);
  if (!before) return std::nullopt;
  const auto now = tracee.times->read();
  if (!now) return std::nullopt;
  return model::CallTimes{now->on_cpu - before->on_cpu, now->queued - before->queued};
}

void Tracer::exit_call(Tracee& tracee, const RawResult& result) {
  tracee.state = TraceeState::kRunning;
  tracee.restarting = false;
  if (stacks_ && maps_code(tracee.call)) stacks_->code_mapped(tracee.pid);
  if (std::exchange(tracee.call_reported, false)) {
    emitter_.exit(tracee.pid, tracee.tid, tracee.call, result, time_spent(tracee));
  }
}

void Tracer::on(Tracee& tracee, Stopped stopped, const kernel::SeccompStop&) {
  if (tracee.state == TraceeState::kLeaving) return let_go(tracee, std::move(stopped), 0);
  if (tracee.state == TraceeState::kBeforeExec) return resume(tracee, std::move(stopped));
  if (tracee.preparing && prepare(tracee, stopped)) return;
  const auto info = kernel::syscall_info(stopped);
  if (!info || info->op != kernel::SyscallInfo::Op::kSeccomp) {
    return resume(tracee, std::move(stopped));
  }
  if (info->filter_data != kernel::kFilterMark) {
    // A filter of the tracee's own, which has no tracer as far as it knows.
    static_cast<void>(kernel::fail_call(stopped));
    tracee.state = TraceeState::kRunning;
    return resume(tracee, std::move(stopped));
  }
  const RawCall call = syscalls::unfolded(info->call, kernel::ProcessMemory(tracee.tid));
  enter_call(tracee, stopped, call);
  if (step_aside(tracee, stopped, call)) return;
  follow_untraced_clone(tracee, stopped, call);
  // What never returns, or nobody asked for, needs no second stop.
  const syscalls::SyscallRow* row = syscalls::find_row(call.abi, call.number);
  const bool returns = row == nullptr || !row->has(syscalls::Trait::kNeverReturns);
  const bool changes_code = stacks_ && maps_code(tracee.call);
  const bool to_its_end =
      (tracee.call_reported && returns) || tracee.own_clone_flags || changes_code;
  if (!to_its_end) tracee.state = TraceeState::kRunning;
  resume(tracee, std::move(stopped));
}

void Tracer::on(Tracee& tracee, Stopped stopped, const kernel::GroupStopped& stop) {
  if (tracee.state == TraceeState::kLeaving) {
    // Detaching reinstates the group-stop: what was stopped stays stopped.
    return let_go(tracee, std::move(stopped), 0);
  }
  if (tracee.state == TraceeState::kBeforeExec) return resume(tracee, std::move(stopped));
  if (tracee.preparing && prepare(tracee, stopped)) return;
  put_clone_flags_back(tracee, stopped);
  if (tracee.state != TraceeState::kGroupStopped) {
    emitter_.emit(tracee.pid, tracee.tid, model::GroupStop{stop.signo});
  }
  tracee.state = TraceeState::kGroupStopped;
  if (root_ && tracee.pid == root_ && tracee.tid == base::main_thread(root_) &&
      stop.signo != SIGSTOP) {
    job_stop_signal_ = stop.signo;
  }
  if (tracee.style == kernel::TraceStyle::kSeize) {
    static_cast<void>(kernel::resume(std::move(stopped), kernel::Resume::kListen));
  } else {
    // Attached while it was stopped: this is its first stop.
    static_cast<void>(kernel::set_options(stopped, tracee_options()));
    tracee.parked = std::move(stopped);
  }
}

void Tracer::on(Tracee& tracee, Stopped stopped, const kernel::Trapped&) {
  if (tracee.preparing && prepare(tracee, stopped)) return;
  switch (tracee.state) {
    case TraceeState::kAttaching:
      return attached(tracee, std::move(stopped));
    case TraceeState::kLeaving:
      static_cast<void>(undo_wake(stopped, longest_to_restart(tracee)));
      return let_go(tracee, std::move(stopped), 0);
    case TraceeState::kGroupStopped:
      tracee.state = TraceeState::kRunning;
      tracee.continued = true;
      emitter_.emit(tracee.pid, tracee.tid, model::Continued{});
      break;
    default:
      // SIGCONT wakes each thread to tell us, also one that was not stopped.
      static_cast<void>(undo_wake(stopped, base::Nanoseconds{0}));
      break;
  }
  resume(tracee, std::move(stopped));
}

void Tracer::attached(Tracee& tracee, Stopped stopped) {
  begin_to_follow(tracee, stopped);
  resume(tracee, std::move(stopped));
}

void Tracer::begin_to_follow(Tracee& tracee, const Stopped& stopped) {
  put_clone_flags_back(tracee, stopped);
  tracee.state = TraceeState::kRunning;
  // PTRACE_ATTACH takes no options; without TRACESYSGOOD a syscall-stop would read as a SIGTRAP.
  if (tracee.style == kernel::TraceStyle::kAttach)
    static_cast<void>(kernel::set_options(stopped, tracee_options()));
  if (const auto call = undo_wake(stopped, kBriefWait)) {
    if (will_restart(call->result)) {
      tracee.call = syscalls::unfolded(call->call, kernel::ProcessMemory(tracee.tid));
      tracee.restarting = true;
      tracee.call_reported = emitter_.wants(tracee.call);
      if (tracee.call_reported) tell_entry(tracee, stopped, true);
    }
  }
}

void Tracer::on(Tracee& tracee, Stopped stopped, const kernel::MadeTask& made) {
  const auto message = kernel::event_message(stopped);
  if (!message) return;
  const base::Tid child{static_cast<std::int32_t>(*message)};
  const auto own_flags = in_child(tracee.own_clone_flags);
  put_clone_flags_back(tracee, stopped);
  std::optional<std::uint64_t> flags = clone_flags(tracee, stopped);
  if (!flags) {
    const auto status = procfs_.status(base::Pid{child.value()}, child);
    flags = status && status->tgid != child.value() ? CLONE_THREAD | CLONE_FILES : 0;
  }
  const bool thread = (*flags & CLONE_THREAD) != 0;
  const base::Pid pid = thread ? tracee.pid : base::Pid{child.value()};

  ++task_changes_;
  model::NewTask event;
  event.child = child;
  event.shares_fds = (*flags & CLONE_FILES) != 0;
  if (thread) {
    event.kind = model::NewTaskKind::kThread;
  } else if (made.how == kernel::TaskMaker::kVfork) {
    event.kind = model::NewTaskKind::kVfork;
  } else {
    event.kind = made.how == kernel::TaskMaker::kFork ? model::NewTaskKind::kFork
                                                      : model::NewTaskKind::kCloneProcess;
  }
  Tracee* held = table_.find(child);
  const bool adopted = held != nullptr && held->adopted;
  if (tracee.state != TraceeState::kLeaving && tracee.state != TraceeState::kBeforeExec) {
    emitter_.emit(tracee.pid, tracee.tid, event);
    if (!adopted) emitter_.task_seen(pid, child, tracee.pid, Emitter::Origin::kMade);
  }

  const bool leaving = tracee.state == TraceeState::kLeaving;
  if (adopted) {
    held->adopted = false;
    return go_on_after_making(std::move(stopped), leaving);
  }
  const auto early = std::ranges::find(early_ends_, child, &EarlyEnd::tid);
  if (early != early_ends_.end()) {
    if (!leaving) emitter_.emit(pid, child, early->exit);
    early_ends_.erase(early);
    return go_on_after_making(std::move(stopped), leaving);
  }
  if (held != nullptr && held->state == TraceeState::kHeld) {
    held->pid = pid;
    held->style = tracee.style;
    Stopped child_stopped = std::move(*held->parked);
    held->parked.reset();
    held->own_clone_flags = own_flags;
    put_clone_flags_back(*held, child_stopped);
    if (leaving) {
      held->state = TraceeState::kLeaving;
      let_go(*held, std::move(child_stopped), held->held_signal);
    } else {
      release(*held, std::move(child_stopped));
    }
  } else {
    Tracee& added = table_.add(child, pid, tracee.style,
                               leaving ? TraceeState::kLeaving : TraceeState::kAttaching);
    added.own_stop_pending = tracee.style == kernel::TraceStyle::kAttach;
    added.own_clone_flags = own_flags;
  }
  go_on_after_making(std::move(stopped), leaving);
}

void Tracer::go_on_after_making(Stopped stopped, bool leaving) {
  Tracee& maker = *table_.find(stopped.tid());
  if (leaving && !maker.own_stop_pending) return let_go(maker, std::move(stopped), 0);
  resume(maker, std::move(stopped));
}

void Tracer::hold(const kernel::WaitReport& report) {
  Tracee& held = table_.add(report.tid, base::Pid{}, options_.style, TraceeState::kHeld);
  held.parked = Stopped{report.tid};
  held.held_since = clock_.now();
  // A SIGCONT that came at once has taken the place of its automatic SIGSTOP (signal(7)).
  const kernel::Stop stop = read_stop(report, held.style);
  const auto* delivery = std::get_if<kernel::SignalDelivery>(&stop);
  if (delivery != nullptr && delivery->signo != SIGSTOP) held.held_signal = delivery->signo;
  // Its process was stopped before it ran for the first time: it stays so.
  if (const auto* group = std::get_if<kernel::GroupStopped>(&stop)) held.held_stop = group->signo;
}

void Tracer::release(Tracee& held, Stopped stopped) {
  held.state = TraceeState::kRunning;
  if (const int signo = std::exchange(held.held_stop, 0); signo != 0) {
    return on(held, std::move(stopped), kernel::GroupStopped{signo});
  }
  resume(held, std::move(stopped), std::exchange(held.held_signal, 0));
}

// The maker died before its event could be read: the task says itself who it is.
void Tracer::adopt(Tracee& held) {
  const auto status = procfs_.status(base::Pid{held.tid.value()}, held.tid);
  held.pid = base::Pid{status ? status->tgid : held.tid.value()};
  base::Pid parent;
  if (const auto stat = procfs_.stat(held.pid, std::nullopt)) parent = base::Pid{stat->parent};
  emitter_.task_seen(held.pid, held.tid, parent, Emitter::Origin::kFound);
  held.adopted = true;
  Stopped stopped = std::move(*held.parked);
  held.parked.reset();
  release(held, std::move(stopped));
}

void Tracer::on(Tracee& tracee, Stopped stopped, const kernel::VforkDone&) {
  if (tracee.state == TraceeState::kLeaving) return let_go(tracee, std::move(stopped), 0);
  resume(tracee, std::move(stopped));
}

void Tracer::on(Tracee& tracee, Stopped stopped, const kernel::Execed&) {
  base::Tid former = tracee.tid;
  if (const auto message = kernel::event_message(stopped)) {
    former = base::Tid{static_cast<std::int32_t>(*message)};
  }
  // The other threads are gone; the one that called execve(2) has taken the leader's tid.
  if (const Tracee* caller = table_.find(former); caller != nullptr && former != tracee.tid) {
    tracee.call = caller->call;
    tracee.call_reported = caller->call_reported;
    if (tracee.state != TraceeState::kLeaving) tracee.state = caller->state;
    // A SIGSTOP of ours is on its way to the caller, whatever its number is.
    tracee.own_stop_pending = caller->own_stop_pending;
    tracee.own_stop_resent = caller->own_stop_resent;
  }
  // What the leader was in the middle of when it was ended is nobody's any more.
  tracee.parked.reset();
  tracee.restarting = false;
  tracee.preparing = false;
  tracee.own_clone_flags.reset();
  for (const base::Tid sibling : table_.threads_of(tracee.pid)) {
    if (sibling != tracee.tid) table_.remove(sibling);
  }
  Tracee& leader = *table_.find(stopped.tid());
  if (leader.state == TraceeState::kLeaving) {
    if (!leader.own_stop_pending) return let_go(leader, std::move(stopped), 0);
    return resume(leader, std::move(stopped));
  }
  if (leader.state == TraceeState::kBeforeExec) {
    executed_ = true;
    read_launch_report(stopped);
    leader.state = filtered_ ? TraceeState::kRunning : TraceeState::kInSyscall;
    leader.call_reported = false;
    emitter_.task_seen(leader.pid, leader.tid, base::Pid{::getpid()}, Emitter::Origin::kLaunched);
  }
  ++task_changes_;
  if (stacks_) stacks_->forget(leader.pid);
  emitter_.exec(leader.pid, former);
  resume(leader, std::move(stopped));
}

void Tracer::on(Tracee& tracee, Stopped stopped, const kernel::Exiting&) {
  resume(tracee, std::move(stopped));
}

void Tracer::on(Tracee& tracee, Stopped stopped, const kernel::UnknownStop& stop) {
  emitter_.emit(tracee.pid, tracee.tid,
                model::Lost{1, fmt::format("a stop of unknown kind (status {:#x})", stop.raw)});
  resume(tracee, std::move(stopped));
}

void Tracer::ended(Tracee& tracee, model::TaskExit exit) {
  ++task_changes_;
  const bool reported = tracee.state != TraceeState::kBeforeExec;
  if (root_ && tracee.tid == base::main_thread(root_)) root_exit_ = exit;
  const base::Pid pid = tracee.pid;
  const base::Tid tid = tracee.tid;
  table_.remove(tid);
  if (tid == base::main_thread(pid)) {
    if (stacks_) stacks_->forget(pid);
    remember_end(pid);
  }
  if (reported && pid) emitter_.emit(pid, tid, exit);
}

void Tracer::on(Tracee& tracee, Stopped, const kernel::Exited& exit) {
  ended(tracee, {.signaled = false, .code = exit.status, .core_dumped = false});
}

void Tracer::on(Tracee& tracee, Stopped, const kernel::Killed& killed) {
  ended(tracee, {.signaled = true, .code = killed.signo, .core_dumped = killed.core_dumped});
}

void Tracer::on(Tracee&, Stopped, const kernel::ContinuedReport&) {}

}  // namespace stucktrace::engine
