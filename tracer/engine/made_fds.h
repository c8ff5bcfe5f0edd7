#pragma once

#include <vector>

#include "syscalls/decode.h"
#include "syscalls/memory.h"
#include "tracer/base/ids.h"
#include "tracer/kernel/procfs.h"
#include "tracer/model/fd_tracker.h"
#include "tracer/model/resource.h"

namespace stucktrace::engine {

// What descriptors a finished call has made, while its task is still in the syscall-exit-stop and
// cannot change them. Duplicates (dup, F_DUPFD) are left to the tracker, which knows the original.
std::vector<model::FdEntry> made_fds(const kernel::Procfs& procfs, base::Pid pid,
                                     const syscalls::RawCall& call,
                                     const syscalls::RawResult& result,
                                     const syscalls::RemoteMemory& memory,
                                     const model::FdTracker& known);

}  // namespace stucktrace::engine
