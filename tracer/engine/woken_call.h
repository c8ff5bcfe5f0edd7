#pragma once

#include "syscalls/decode.h"
#include "tracer/base/clock.h"
#include "tracer/kernel/ptrace_ops.h"

namespace stucktrace::engine {

// Stopping a thread wakes it, and a few calls then end with EINTR although no signal handler runs
// (signal(7), "Interruption of system calls and library functions by stop signals"). Those without
// a time-out can simply begin anew. With one they wait longer then, as nobody knows for how long
// they have waited already: a brief one may, a longer one ends early as it does under job control.

// Begun anew at an attach and once more at a detach a call of that length is late by no more than a
// busy machine makes it.
inline constexpr base::Nanoseconds kBriefWait = std::chrono::milliseconds{100};
inline constexpr base::Nanoseconds kAnyWait = base::Nanoseconds::max();

// The call is one of them, and its time-out, if it has one, no longer than `longest`.
bool ends_when_woken(const syscalls::RawCall& call, const syscalls::RemoteMemory& memory,
                     base::Nanoseconds longest);

// What the stop interrupted (kernel::interrupted_call); a call that has ended only since it was
// woken is made to begin anew, and its result then reads as the kernel's "will restart". Only in
// stops that restart_call() allows.
base::Result<kernel::InterruptedCall> undo_wake(const kernel::Stopped& stopped,
                                                base::Nanoseconds longest);

}  // namespace stucktrace::engine
