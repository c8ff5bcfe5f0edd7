#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "syscalls/decode.h"
#include "tracer/base/clock.h"
#include "tracer/base/ids.h"
#include "tracer/kernel/ptrace_ops.h"
#include "tracer/kernel/stop.h"
#include "tracer/kernel/task_times.h"

namespace stucktrace::engine {

enum class TraceeState : std::uint8_t {
  kAttaching,     // asked to stop for the first time, has not yet
  kHeld,          // stopped before its maker's event said whose child it is; not resumed
  kBeforeExec,    // launched, still our own code: nothing is reported until its first exec
  kRunning,       // in user code, or resumed and not heard of since
  kInSyscall,     // past a syscall-enter-stop
  kRequesting,    // parked at the entry of a ptrace(2) call that wants what we have
  kGroupStopped,  // stopped by job control; listening (SEIZE) or parked (ATTACH)
  kLeaving,       // to be detached at its next suitable stop
};

// One task under ptrace.
struct Tracee {
  base::Tid tid;
  base::Pid pid;
  kernel::TraceStyle style = kernel::TraceStyle::kSeize;
  TraceeState state = TraceeState::kAttaching;
  // A SIGSTOP of our own making (PTRACE_ATTACH, automatic attach, detach) that is still to come and
  // must be swallowed.
  bool own_stop_pending = false;
  // That SIGSTOP was sent once more, as SIGCONT may have taken the first one away.
  bool own_stop_resent = false;
  // Has left a group-stop, and the SIGCONT that ended it may still be delivered.
  bool continued = false;
  // The call it is in, and whether an event told of it.
  syscalls::RawCall call;
  bool call_reported = false;
  // Was in `call` when we attached: the kernel will restart it without a fresh entry of its own.
  bool restarting = false;
  // To be let go at the entry of `call`: nothing of its time-out has passed.
  bool just_begun = false;
  // Where its time has gone, at the entry of `call`; only where calls are measured.
  std::optional<kernel::TaskTimes> times;
  std::optional<kernel::TaskTimes::Reading> at_entry;
  // Asked to stop, so that its process can be made fit to live untraced under its filter.
  bool preparing = false;
  // Could not be: it stays traced whatever ptrace(2) call it makes.
  bool stays_traced = false;
  // The flags of the clone(2) or clone3(2) it is in, as the program gave them, where we changed
  // them.
  struct CloneFlags {
    std::uint64_t flags = 0;
    syscalls::Abi abi = syscalls::kNativeAbi;
    base::RemoteAddr in_memory;  // 0: the call's first argument
  };
  std::optional<CloneFlags> own_clone_flags;
  std::optional<kernel::Stopped> parked;
  base::Instant held_since;
  // Of a held task: the signal it stopped for, which is still to be delivered; 0 if it was its
  // automatic stop.
  int held_signal = 0;
  // Of a held task: the signal of the group-stop that was its first stop; 0 if it was another.
  int held_stop = 0;
  // Was held, and went on before its maker's event came.
  bool adopted = false;
};

class TraceeTable {
 public:
  Tracee* find(base::Tid tid);
  const Tracee* find(base::Tid tid) const;
  // Adds or replaces (a reused tid is a new task).
  Tracee& add(base::Tid tid, base::Pid pid, kernel::TraceStyle style, TraceeState state);
  void remove(base::Tid tid) { tracees_.erase(tid); }
  bool empty() const { return tracees_.empty(); }
  std::size_t size() const { return tracees_.size(); }
  // Sorted.
  std::vector<base::Tid> all() const;
  std::vector<base::Tid> threads_of(base::Pid pid) const;

 private:
  std::unordered_map<base::Tid, Tracee> tracees_;
};

}  // namespace stucktrace::engine
