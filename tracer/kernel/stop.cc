#include "tracer/kernel/stop.h"

#include <sys/ptrace.h>

#include <csignal>

namespace stucktrace::kernel {
namespace {

constexpr int kSyscallBit = 0x80;  // PTRACE_O_TRACESYSGOOD
constexpr int kEventStop = 128;    // PTRACE_EVENT_STOP; glibc's enum lacks it before 2.26

bool is_stopping(int signo) {
  return signo == SIGSTOP || signo == SIGTSTP || signo == SIGTTIN || signo == SIGTTOU;
}

Stop classify_event(WaitStatus status) {
  switch (status.event()) {
    case PTRACE_EVENT_FORK:
      return MadeTask{TaskMaker::kFork};
    case PTRACE_EVENT_VFORK:
      return MadeTask{TaskMaker::kVfork};
    case PTRACE_EVENT_CLONE:
      return MadeTask{TaskMaker::kClone};
    case PTRACE_EVENT_VFORK_DONE:
      return VforkDone{};
    case PTRACE_EVENT_EXEC:
      return Execed{};
    case PTRACE_EVENT_EXIT:
      return Exiting{};
    case PTRACE_EVENT_SECCOMP:
      return SeccompStop{};
    case kEventStop:
      if (is_stopping(status.stop_signal())) return GroupStopped{status.stop_signal()};
      return Trapped{};
    default:
      return UnknownStop{status.raw()};
  }
}

}  // namespace

bool needs_siginfo(WaitStatus status, TraceStyle style) {
  return style == TraceStyle::kAttach && status.stopped() && status.event() == 0 &&
         is_stopping(status.stop_signal());
}

Stop classify(WaitStatus status, TraceStyle style, SiginfoAnswer siginfo) {
  if (status.continued()) return ContinuedReport{};
  if (status.exited()) return Exited{status.exit_status()};
  if (status.signaled()) return Killed{status.term_signal(), status.core_dumped()};
  if (!status.stopped()) return UnknownStop{status.raw()};
  if (status.event() != 0) return classify_event(status);
  if (status.stop_signal() == (SIGTRAP | kSyscallBit)) return SyscallStop{};
  if (needs_siginfo(status, style) && siginfo == SiginfoAnswer::kNoSiginfo) {
    return GroupStopped{status.stop_signal()};
  }
  return SignalDelivery{status.stop_signal()};
}

}  // namespace stucktrace::kernel
