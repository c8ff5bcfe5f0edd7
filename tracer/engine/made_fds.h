#pragma once

#include <vector>

#include "syscalls/decode.h"
#include "syscalls/memory.h"
#include "tracer/base/ids.h"
#include "tracer/kernel/procfs.h"
#include "tracer/model/fd_tracker.h"
#include "tracer/model/resource.h"

namespace stucktrace::engine {

enum class DupLookup : std::uint8_t {
  kKnown,  // duplicates (dup, F_DUPFD) are left to the tracker, which knows the original
  kRead,   // the original may be something new since: duplicates are read as well
};

// What descriptors a finished call has made, while its task is still in the syscall-exit-stop and
// cannot change them.
std::vector<model::FdEntry> made_fds(const kernel::Procfs& procfs, base::Pid pid,
                                     const syscalls::RawCall& call,
                                     const syscalls::RawResult& result,
                                     const syscalls::RemoteMemory& memory,
                                     const model::FdTracker& known,
                                     DupLookup dups = DupLookup::kKnown);

// What the descriptors are that a call works or waits on, read now; at most a few. Without
// descriptors 0 to 2 of calls that put out through them: those are the tracker's.
std::vector<model::FdEntry> descriptors_of(const kernel::Procfs& procfs, base::Pid pid,
                                           base::Tid tid, const syscalls::RawCall& call,
                                           const syscalls::RemoteMemory& memory);

}  // namespace stucktrace::engine
