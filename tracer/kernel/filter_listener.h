#pragma once

#include <functional>

#include "tracer/base/unique_fd.h"
#include "tracer/kernel/ptrace_ops.h"
#include "tracer/kernel/seccomp_filter.h"

namespace stucktrace::kernel {

// A filter's calls fail where no tracer is (seccomp(2), SECCOMP_RET_TRACE), and a filter cannot be
// taken away. But a second one that asks a listener instead comes before it
// (SECCOMP_RET_USER_NOTIF): as long as its listener says "go on", the task makes its calls as if
// there was no filter.

// Those calls of `filter` ask a listener.
FilterProgram asking_listener(FilterProgram filter);

// Gets the listener before the tracee makes another call; from then on somebody else must
// pass_one().
using TakeListener = std::function<void(base::UniqueFd)>;

// Puts `filter`, which asks a listener, on the tracee; on all threads of its process with
// `whole_process`. The tracee is in a stop as RemoteCaller wants it and stays there; a call at
// whose entry it stands begins anew afterwards. Errors: those of RemoteCaller; kSystem or kDenied
// with what the tracee's own seccomp(2) said (EACCES: it has given up the right to; EBUSY: it has a
// listener already; ESRCH: its threads have different filters).
base::Result<void> put_asking_filter(const Stopped& tracee, const FilterProgram& filter,
                                     bool whole_process, const TakeListener& take);

// Lets the next waiting call go on. False if there was none any more.
bool pass_one(const base::UniqueFd& listener);

}  // namespace stucktrace::kernel
