#include <fmt/format.h>

#include <algorithm>

#include "tracer/engine/tracer.h"

// A task has one tracer (ptrace(2)). A debugger or test harness inside the tree would find its
// targets taken: what it wants to trace is let go, so that it works as it does without us.

namespace stucktrace::engine {

using kernel::Stopped;
using syscalls::RawCall;
using syscalls::Sys;

// True if the stop is dealt with: the task was let go, or waits at the entry of its call.
bool Tracer::step_aside(Tracee& tracee, Stopped& stopped, const RawCall& call) {
  if (syscalls::sys_of(call.abi, call.number) != Sys::ptrace) return false;
  const std::uint64_t request = call.args[0];
  const bool wants_own_parent = request == kernel::kRequestTraceMe;
  if (!wants_own_parent && request != kernel::kRequestAttach && request != kernel::kRequestSeize) {
    return false;
  }
  const base::Pid target =
      wants_own_parent ? tracee.pid : base::Pid{static_cast<std::int32_t>(call.args[1])};
  const Tracee* wanted = table_.find(base::main_thread(target));
  if (!wants_own_parent && wanted == nullptr) {
    wanted = table_.find(base::Tid{target.value()});  // a thread other than the main one
    if (wanted == nullptr) return false;              // nothing of ours
  }
  if (filtered_) {
    // Without a tracer its filtered calls would fail: it cannot be let go.
    emitter_.emit(tracee.pid, tracee.tid,
                  model::Note{fmt::format("process {} uses ptrace(2), which fails while a filter "
                                          "is on: run with --no-seccomp",
                                          tracee.pid)});
    return false;
  }
  emitter_.emit(tracee.pid, tracee.tid,
                model::Note{wants_own_parent
                                ? fmt::format("process {} asks to be traced by its parent: let go",
                                              tracee.pid)
                                : fmt::format("process {} traces {}: let go", tracee.pid, target)});
  if (wants_own_parent) {
    // Detached at the entry, the call itself then runs and finds the task untraced.
    emitter_.emit(tracee.pid, tracee.tid, model::Detached{"uses ptrace itself"});
    tracee.own_stop_pending = false;
    if (root_ && tracee.tid == base::main_thread(root_)) root_untraced_ = true;
    let_go(tracee, std::move(stopped), 0);
    return true;
  }
  const base::Pid owner = wanted->pid;
  requesters_.push_back({tracee.tid, owner});
  tracee.state = TraceeState::kRequesting;
  tracee.parked = std::move(stopped);
  let_go_for(tracee, owner);
  return true;
}

void Tracer::let_go_for(Tracee& requester, base::Pid target) {
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
      ++i;
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

}  // namespace stucktrace::engine
