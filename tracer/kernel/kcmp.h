#pragma once

#include "tracer/base/ids.h"
#include "tracer/base/result.h"

namespace stucktrace::kernel {

// "Is it the same object?" by kcmp(2); each needs PTRACE_MODE_READ on both tasks and
// CONFIG_KCMP. kGone when a task has ended.

// One address space (CLONE_VM, a vfork child before its exec).
base::Result<bool> same_memory(base::Tid a, base::Tid b);
// One descriptor table (CLONE_FILES).
base::Result<bool> same_fd_table(base::Tid a, base::Tid b);
// One open file behind two descriptors.
base::Result<bool> same_open_file(base::Tid a, int fd_a, base::Tid b, int fd_b);

}  // namespace stucktrace::kernel
