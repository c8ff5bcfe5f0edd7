#pragma once

#include <cstdint>
#include <variant>

#include "tracer/kernel/wait_status.h"

namespace stucktrace::kernel {

// How a tracee came under the tracer; decides how its group-stops read (ptrace(2)).
enum class TraceStyle : std::uint8_t {
  kSeize,   // PTRACE_SEIZE: PTRACE_EVENT_STOP, PTRACE_INTERRUPT, PTRACE_LISTEN
  kAttach,  // PTRACE_ATTACH and PTRACE_TRACEME: SIGSTOP and PTRACE_GETSIGINFO
};

// ---- what wait4 reported, one type per thing that can happen ------------------------------------

struct SyscallStop {};  // entry or exit: PTRACE_GET_SYSCALL_INFO tells which
struct SeccompStop {};  // PTRACE_EVENT_SECCOMP
struct SignalDelivery {
  int signo = 0;
};  // about to be delivered; resume with it or without
struct GroupStopped {
  int signo = 0;
};  // the whole process is stopped by job control
// PTRACE_EVENT_STOP with SIGTRAP: PTRACE_INTERRUPT, the first stop of an automatically attached
// task, or the end of a group-stop that was listened to.
struct Trapped {};
enum class TaskMaker : std::uint8_t { kFork, kVfork, kClone };
struct MadeTask {
  TaskMaker how = TaskMaker::kFork;
};  // PTRACE_GETEVENTMSG has the tid
struct VforkDone {};
struct Execed {};   // PTRACE_GETEVENTMSG has the former tid
struct Exiting {};  // PTRACE_EVENT_EXIT
struct Exited {
  int status = 0;
};
struct Killed {
  int signo = 0;
  bool core_dumped = false;
};
struct ContinuedReport {};
struct UnknownStop {
  int raw = 0;
};  // a kernel newer than this table: an event, never an abort

using Stop = std::variant<SyscallStop, SeccompStop, SignalDelivery, GroupStopped, Trapped, MadeTask,
                          VforkDone, Execed, Exiting, Exited, Killed, ContinuedReport, UnknownStop>;

// What PTRACE_GETSIGINFO said, where needs_siginfo() asks for it.
enum class SiginfoAnswer : std::uint8_t {
  kNotAsked,
  kSignal,     // there is a siginfo: a signal-delivery-stop
  kNoSiginfo,  // EINVAL: a group-stop
};

// Under kAttach a stop by SIGSTOP, SIGTSTP, SIGTTIN or SIGTTOU is either a signal-delivery-stop or
// a group-stop; only PTRACE_GETSIGINFO tells (ptrace(2), "Group-stop").
bool needs_siginfo(WaitStatus status, TraceStyle style);

// Pure. Assumes PTRACE_O_TRACESYSGOOD is set.
Stop classify(WaitStatus status, TraceStyle style, SiginfoAnswer siginfo);

}  // namespace stucktrace::kernel
