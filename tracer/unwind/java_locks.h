#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "syscalls/memory.h"
#include "tracer/base/ids.h"
#include "tracer/base/result.h"
#include "tracer/kernel/procfs.h"
#include "tracer/unwind/java_objects.h"
#include "tracer/unwind/java_tables.h"

namespace stucktrace::unwind {

struct JavaLockWait {
  enum class Kind : std::uint8_t {
    kMonitor,       // to enter a synchronized block or method; has no time-out
    kSynchronizer,  // parked on a lock of java.util.concurrent
  };
  base::Tid waiter;
  base::Tid owner;  // another live thread of the process
  Kind kind = Kind::kMonitor;
  bool operator==(const JavaLockWait&) const = default;
};

// A tid in the process's own pid namespace -> the live thread as we number it.
using JavaLiveThread = std::function<std::optional<base::Tid>(std::int32_t)>;

// Who of a Java virtual machine's threads waits for a lock that another thread of it owns, by
// reading the machine's memory while it goes on: each pair was there twice, and between the two
// readings the waiter slept in a futex call without waking. `parked` are the threads known to sleep
// so. What cannot be told for sure is left out. kUnsupported: no HotSpot virtual machine, or none
// whose tables can be had.
base::Result<std::vector<JavaLockWait>> read_java_locks(const kernel::Procfs& procfs, base::Pid pid,
                                                        std::span<const base::Tid> parked,
                                                        const JavaLiveThread& live_thread);

// One reading, separate for tests. Sorted by waiter. `objects` is null where the heap cannot be
// read; monitors can all the same, mostly.
std::vector<JavaLockWait> look_at_java_locks(const syscalls::RemoteMemory& memory,
                                             const JavaTables& tables, const JavaObjects* objects,
                                             std::span<const base::Tid> parked,
                                             const JavaLiveThread& live_thread);

}  // namespace stucktrace::unwind
