#pragma once

#include "syscalls/decode.h"
#include "tracer/kernel/ptrace_ops.h"

namespace stucktrace::engine {

// Stopping a thread wakes it, and a few calls then end with EINTR although no signal handler runs
// (signal(7), "Interruption of system calls and library functions by stop signals"). Those without
// a time-out can simply begin anew; with one they would wait too long, so that they end early as
// they do under job control.

// The call is one of them.
bool ends_when_woken(const syscalls::RawCall& call, const syscalls::RemoteMemory& memory);

// What the stop interrupted (kernel::interrupted_call); a call that our own stop has ended is made
// to begin anew, and its result then reads as the kernel's "will restart". Only in stops that
// restart_call() allows.
base::Result<kernel::InterruptedCall> undo_wake(const kernel::Stopped& stopped);

}  // namespace stucktrace::engine
