#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <span>
#include <utility>

#include "tracer/engine/tracer.h"
#include "tracer/engine/woken_call.h"
#include "tracer/kernel/descendants.h"
#include "tracer/kernel/filter_listener.h"
#include "tracer/kernel/remote_memory.h"

// A task has one tracer (ptrace(2)). A debugger or test harness inside the tree would find its
// targets taken: what it wants to trace is let go, so that it works as it does without us.

namespace stucktrace::engine {

using kernel::Stopped;
using syscalls::RawCall;
using syscalls::Sys;

namespace {

bool asks_to_trace(std::uint64_t request) {
  return request == kernel::kRequestTraceMe || request == kernel::kRequestAttach ||
         request == kernel::kRequestSeize;
}

bool put_clone_flags(const Stopped& stopped, const Tracee::CloneFlags& where, std::uint64_t flags) {
  if (where.in_memory.value() == 0) {
    return kernel::set_argument(stopped, where.abi, 0, flags).has_value();
  }
  return kernel::write_memory(stopped.tid(), where.in_memory, std::as_bytes(std::span{&flags, 1}));
}

}  // namespace

// True if the stop is dealt with: the task was let go, or waits at the entry of its call.
bool Tracer::step_aside(Tracee& tracee, Stopped& stopped, const RawCall& call) {
  if (syscalls::sys_of(call.abi, call.number) != Sys::ptrace) return false;
  const std::uint64_t request = call.args[0];
  if (!asks_to_trace(request)) return false;
  const bool wants_own_parent = request == kernel::kRequestTraceMe;
  const Tracee* wanted = &tracee;
  if (!wants_own_parent) {
    const base::Tid target{static_cast<std::int32_t>(call.args[1])};
    wanted = table_.find(target);
    if (wanted == nullptr) {
      const auto threads = table_.threads_of(base::Pid{target.value()});  // its main one has ended
      if (!threads.empty()) wanted = table_.find(threads.front());
    }
    // Nothing of ours, or one of its own threads, which nobody may trace.
    if (wanted == nullptr || wanted->pid == tracee.pid) return false;
  }
  if (filtered_ && tracee.stays_traced) {
    emitter_.emit(tracee.pid, tracee.tid,
                  model::Note{fmt::format("process {} uses ptrace(2), which fails under this "
                                          "filter: run with --no-seccomp",
                                          tracee.pid)});
    return false;
  }
  const base::Pid owner = wanted->pid;
  emitter_.emit(tracee.pid, tracee.tid,
                model::Note{wants_own_parent
                                ? fmt::format("process {} asks to be traced by its parent: let go",
                                              tracee.pid)
                                : fmt::format("process {} traces {}: let go", tracee.pid, owner)});
  if (options_.may_be_ended) {
    if (auto adopting = kernel::adopt_orphans(); !adopting) {
      log_.say(base::LogLevel::kNormal, adopting.error().message());
    }
  }
  if (wants_own_parent) {
    let_go_to_its_parent(tracee, std::move(stopped));
    return true;
  }
  requesters_.push_back({tracee.tid, owner, !filtered_});
  tracee.state = TraceeState::kRequesting;
  tracee.parked = std::move(stopped);
  if (filtered_) {
    prepare_thread_of(owner, tracee.tid);
  } else {
    let_go_for(tracee, owner);
  }
  return true;
}

// Detached at the entry, the call itself then runs and finds the task untraced.
void Tracer::let_go_to_its_parent(Tracee& tracee, Stopped stopped) {
  if (filtered_) {
    if (const auto fit = make_fit(stopped, false); !fit) {
      tracee.stays_traced = true;
      tracee.state = TraceeState::kRunning;
      return resume(tracee, std::move(stopped));
    }
  }
  emitter_.emit(tracee.pid, tracee.tid, model::Detached{"uses ptrace itself"});
  tracee.own_stop_pending = false;
  if (root_ && tracee.tid == base::main_thread(root_)) root_untraced_ = true;
  let_go(tracee, std::move(stopped), 0);
}

// The filter outlasts us: without a tracer its calls would fail. They ask a listener from now on.
base::Result<void> Tracer::make_fit(const Stopped& stopped, bool whole_process) {
  return kernel::put_asking_filter(
      stopped, kernel::asking_listener(program_), whole_process,
      [this](base::UniqueFd listener) { passer_.add(std::move(listener)); });
}

// One thread of the process can do it for all, in a stop that suits (on(Trapped) and its like).
void Tracer::prepare_thread_of(base::Pid target, base::Tid requester) {
  Tracee* chosen = nullptr;
  for (const base::Tid tid : table_.threads_of(target)) {
    Tracee& thread = *table_.find(tid);
    const bool can_stop = thread.state == TraceeState::kRunning ||
                          thread.state == TraceeState::kInSyscall ||
                          thread.state == TraceeState::kGroupStopped;
    if (tid == requester || !can_stop) continue;
    if (thread.preparing) return;
    chosen = &thread;
    const auto stat = procfs_.stat(thread.pid, thread.tid);
    if (stat && stat->state != 'D') break;  // the parent of a vfork(2) stops when its child is done
  }
  if (chosen == nullptr) return;  // one that is on its way to its first stop: asked again then
  if (chosen->parked) {           // it stands in its group-stop
    Stopped stopped = std::move(*chosen->parked);
    chosen->parked.reset();
    static_cast<void>(prepare(*chosen, stopped));
    return;
  }
  chosen->preparing = true;
  if (chosen->style == kernel::TraceStyle::kSeize) {
    static_cast<void>(kernel::interrupt(chosen->tid));
  } else if (!chosen->own_stop_pending) {
    chosen->own_stop_pending = kernel::send_stop(chosen->pid, chosen->tid).has_value();
  }
}

// False if nobody waits for it any more.
bool Tracer::prepare(Tracee& tracee, Stopped& stopped) {
  tracee.preparing = false;
  const base::Pid target = tracee.pid;
  const auto request = std::ranges::find_if(requesters_, [&](const Requester& candidate) {
    return candidate.target == target && !candidate.fit;
  });
  const Tracee* requester = request == requesters_.end() ? nullptr : table_.find(request->tid);
  if (requester == nullptr) return false;
  static_cast<void>(undo_wake(stopped, kBriefWait));
  if (const auto fit = make_fit(stopped, true); !fit) {
    cannot_let_go(target, fit.error().message());
    go_on_unprepared(tracee, std::move(stopped));
    return true;
  }
  for (Requester& waiting : requesters_) {
    if (waiting.target == target) waiting.fit = true;
  }
  tracee.parked = std::move(stopped);
  let_go_for(*requester, target);
  return true;
}

void Tracer::go_on_unprepared(Tracee& tracee, Stopped stopped) {
  if (tracee.state != TraceeState::kGroupStopped) {
    tracee.state = TraceeState::kRunning;
    return resume(tracee, std::move(stopped));
  }
  // What its process is stopped for goes on.
  if (tracee.style == kernel::TraceStyle::kAttach) {
    tracee.parked = std::move(stopped);
    return;
  }
  // The calls have taken it out of its group-stop, where alone it could listen: it enters it again
  // before an instruction of its own, or learns that it is over.
  static_cast<void>(kernel::interrupt(tracee.tid));
  resume(tracee, std::move(stopped));
}

void Tracer::cannot_let_go(base::Pid target, const std::string& why) {
  std::erase_if(requesters_, [&](const Requester& request) {
    if (request.target != target) return false;
    Tracee* tracee = table_.find(request.tid);
    if (tracee == nullptr || tracee->state != TraceeState::kRequesting) return true;
    emitter_.emit(tracee->pid, tracee->tid,
                  model::Note{fmt::format("process {} stays traced ({}), so that the ptrace(2) of "
                                          "process {} fails: run with --no-seccomp",
                                          target, why, tracee->pid)});
    Stopped stopped = std::move(*tracee->parked);
    tracee->parked.reset();
    tracee->state = TraceeState::kInSyscall;
    resume(*tracee, std::move(stopped));
    return true;
  });
}

void Tracer::let_go_for(const Tracee& requester, base::Pid target) {
  if (root_ && target == root_) root_untraced_ = true;
  for (const base::Tid tid : table_.threads_of(target)) {
    if (tid == requester.tid) continue;
    Tracee& thread = *table_.find(tid);
    emitter_.emit(thread.pid, thread.tid,
                  model::Detached{fmt::format("process {} traces it", requester.pid)});
    if (thread.parked) {
      Stopped parked = std::move(*thread.parked);
      thread.parked.reset();
      thread.state = TraceeState::kLeaving;
      let_go(thread, std::move(parked), 0);
    } else {
      ask_to_stop(thread);
    }
  }
}

// After each event: whose targets are gone from our table may make their calls.
void Tracer::resume_requesters() {
  for (std::size_t i = 0; i < requesters_.size();) {
    const Requester request = requesters_[i];
    Tracee* tracee = table_.find(request.tid);
    const bool waits = tracee != nullptr && tracee->state == TraceeState::kRequesting;
    const auto others = table_.threads_of(request.target);
    const bool held =
        std::ranges::any_of(others, [&](base::Tid tid) { return tid != request.tid; });
    if (waits && held) {
      // The thread that was asked may have ended. One that stands still answers at once: then this
      // request may be done with.
      if (!request.fit) prepare_thread_of(request.target, request.tid);
      if (i < requesters_.size() && requesters_[i].tid == request.tid) ++i;
      continue;
    }
    requesters_.erase(requesters_.begin() + static_cast<std::ptrdiff_t>(i));
    if (!waits) continue;
    Stopped stopped = std::move(*tracee->parked);
    tracee->parked.reset();
    tracee->state = TraceeState::kInSyscall;
    resume(*tracee, std::move(stopped));
  }
}

// A task made with CLONE_UNTRACED would be missing in the picture, could not make the calls of the
// filter, and, where it is there to trace its maker, find it taken: it is followed like any other.
// The program finds its argument, a register or its memory, as it gave it.
void Tracer::follow_untraced_clone(Tracee& tracee, const Stopped& stopped, const RawCall& call) {
  constexpr std::uint64_t kUntraced = CLONE_UNTRACED;
  Tracee::CloneFlags own;
  own.abi = call.abi;
  switch (syscalls::sys_of(call.abi, call.number)) {
    case Sys::clone:
      own.flags = call.args[0];
      break;
    case Sys::clone3:  // the first field of struct clone_args (clone(2))
      own.in_memory = base::RemoteAddr{call.args[0]};
      if (!kernel::ProcessMemory(tracee.tid).read_value(own.in_memory, own.flags)) return;
      break;
    default:
      return;
  }
  if ((own.flags & kUntraced) == 0) return;
  if (put_clone_flags(stopped, own, own.flags & ~kUntraced)) tracee.own_clone_flags = own;
}

void Tracer::put_clone_flags_back(Tracee& tracee, const Stopped& stopped) {
  const auto own = std::exchange(tracee.own_clone_flags, std::nullopt);
  if (!own) return;
  const bool in_memory = own->in_memory.value() != 0;
  if (in_memory || kernel::kArgumentsOutliveCall) put_clone_flags(stopped, *own, own->flags);
}

}  // namespace stucktrace::engine
