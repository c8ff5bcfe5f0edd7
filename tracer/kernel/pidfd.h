#pragma once

#include "tracer/base/ids.h"
#include "tracer/base/result.h"
#include "tracer/base/unique_fd.h"

namespace stucktrace::kernel {

// A handle on a process that cannot come to mean another one (pidfd_open(2)). kGone once reaped.
base::Result<base::UniqueFd> open_pidfd(base::Pid pid);
// The same by a thread, for a process whose main thread has ended (PIDFD_THREAD, Linux 6.9).
base::Result<base::UniqueFd> open_thread_pidfd(base::Tid tid);

// A copy of descriptor `fd` of that process in ours (pidfd_getfd(2)); needs
// PTRACE_MODE_ATTACH_REALCREDS, stops nothing and opens nothing. While it lives it keeps the end
// alive: readers miss an end of file, writers an EPIPE. Close it within microseconds, never let it
// cross a fork.
base::Result<base::UniqueFd> borrow_fd(const base::UniqueFd& pidfd, int fd);

}  // namespace stucktrace::kernel
