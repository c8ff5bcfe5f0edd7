#pragma once

#include <csignal>
#include <cstdint>
#include <optional>
#include <utility>

#include "syscalls/decode.h"
#include "tracer/base/ids.h"
#include "tracer/base/result.h"
#include "tracer/kernel/brief_stop.h"

namespace stucktrace::kernel {

// Proof that a tracee is in a ptrace-stop, minted from a wait4 report. Reading registers or
// resuming needs one; resuming eats it, so that a request in the wrong state does not compile.
class Stopped {
 public:
  explicit Stopped(base::Tid tid) : tid_(tid) {}
  Stopped(Stopped&& other) noexcept : tid_(std::exchange(other.tid_, base::Tid{})) {}
  Stopped& operator=(Stopped&& other) noexcept {
    tid_ = std::exchange(other.tid_, base::Tid{});
    return *this;
  }
  Stopped(const Stopped&) = delete;
  Stopped& operator=(const Stopped&) = delete;
  ~Stopped() = default;
  base::Tid tid() const { return tid_; }

 private:
  base::Tid tid_;
};

// All of these fail with kGone when the tracee died meanwhile (SIGKILL ends a ptrace-stop): that is
// ordinary, its exit will be reported by wait4.

enum class Resume : std::uint8_t {
  kToSyscall,  // PTRACE_SYSCALL: until the next syscall-stop
  kFreely,     // PTRACE_CONT
  kListen,     // PTRACE_LISTEN: stay in the group-stop, only under SEIZE
};
base::Result<void> resume(Stopped&& tracee, Resume how, int signo = 0);
base::Result<void> detach(Stopped&& tracee, int signo = 0);

struct SyscallInfo {
  enum class Op : std::uint8_t { kNone, kEntry, kExit, kSeccomp } op = Op::kNone;
  syscalls::RawCall call;      // kEntry, kSeccomp; of kExit only the abi
  syscalls::RawResult result;  // kExit
  std::uint64_t program_counter = 0;
  std::uint16_t filter_data =
      0;  // kSeccomp: SECCOMP_RET_DATA of the filter that asked for the stop
};
base::Result<SyscallInfo> syscall_info(const Stopped& tracee);
// EINVAL is kSystem with that errno: a group-stop.
base::Result<siginfo_t> siginfo(const Stopped& tracee);
base::Result<std::uint64_t> event_message(const Stopped& tracee);
// The call a stop interrupted, from the registers: number, arguments and what it would return,
// which is ERESTART* (512..516, negative) where the kernel is going to restart it. For stops that
// are no syscall-stop; number -1 when the tracee was in user code.
struct InterruptedCall {
  syscalls::RawCall call;
  std::int64_t result = 0;
};
base::Result<InterruptedCall> interrupted_call(const Stopped& tracee);

// Of a stopped tracee of the tool's own width; kUnsupported for others.
base::Result<StandingRegisters> standing_registers(const Stopped& tracee);

// Requests of ptrace(2) by which a task comes under a tracer; the first is made by the tracee.
inline constexpr std::uint64_t kRequestTraceMe = 0;
inline constexpr std::uint64_t kRequestAttach = 16;
inline constexpr std::uint64_t kRequestSeize = 0x4206;

// The tracee's call, which has ended with EINTR, begins anew unless a signal handler runs first
// (ERESTARTNOHAND, include/linux/errno.h). Only in a stop inside signal handling (a
// signal-delivery-stop or PTRACE_EVENT_STOP): nowhere else does the kernel look at it.
base::Result<void> restart_call(const Stopped& tracee);

// In a seccomp stop: the call is left out and fails with ENOSYS, as it does without a tracer.
base::Result<void> fail_call(const Stopped& tracee);

// Changes argument `index` of the call of that ABI the tracee is in. On some machines a result
// takes the place of the first one; on others a program finds all of them where it left them.
extern const bool kArgumentsOutliveCall;
base::Result<void> set_argument(const Stopped& tracee, syscalls::Abi abi, unsigned index,
                                std::uint64_t value);

// What a tracee gets besides the options every one has: syscall-stops marked, every kind of new
// task and exec reported. Children inherit them (ptrace(2)).
struct TraceeOptions {
  // Stops asked for by a filter are reported. Without it they fail with ENOSYS, as in an untraced
  // program.
  bool seccomp_stops = false;
  bool kill_on_exit = false;  // PTRACE_O_EXITKILL; otherwise the tree goes on if the tracer dies
};
base::Result<void> set_options(const Stopped& tracee, TraceeOptions options = {});
// PTRACE_TRACEME: the caller's parent becomes its tracer. Async-signal-safe; false with errno set.
bool trace_me();
// Both wait while the process is in an execve(2), which itself waits till its other threads have
// ended — and, of those that are traced, till their tracer has waited for them. EINTR: not
// attached, break_off_attaching() ended the wait.
base::Result<void> seize(base::Tid tid, TraceeOptions options = {});
base::Result<void> attach(base::Tid tid);  // sends SIGSTOP
// In the handler of a signal, with its context: a seize() or attach() of this thread that waits
// ends. Without it the kernel begins the call anew after any signal (ptrace_attach() in
// kernel/ptrace.c). Async-signal-safe.
void break_off_attaching(void* context);
base::Result<void> interrupt(base::Tid tid);                 // only under SEIZE
base::Result<void> send_stop(base::Pid pid, base::Tid tid);  // tgkill(SIGSTOP)
base::Result<void> send_signal(base::Pid pid, int signo);    // kill(2)

}  // namespace stucktrace::kernel
