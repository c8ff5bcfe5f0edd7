#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tracer/base/ids.h"
#include "tracer/base/result.h"
#include "tracer/kernel/procfs.h"
#include "tracer/model/known.h"
#include "tracer/model/snapshot.h"

namespace stucktrace::engine {

// What shows whether a thread has moved. Read before and after its wait is collected: what was
// found in between holds only if nothing here changed.
struct Pulse {
  char state = '?';
  std::uint64_t start_time = 0;
  model::Counters counters;
  // nullopt inside: on a CPU. Unknown: no permission.
  model::Known<std::optional<model::SyscallLine>> line = model::unknown("not read");
  // Procfs::schedule, "" where the kernel does not count.
  std::string schedule;
};

struct ThreadSample {
  Pulse pulse;
  std::string comm;
  std::string wchan;
  std::int32_t tracer = 0;
  std::vector<std::int32_t> ns_pids;
};

// kGone where the thread has ended.
base::Result<ThreadSample> sample_thread(const kernel::Procfs& procfs, base::Pid pid,
                                         base::Tid tid);
// To look at all of so many threads of a process: for a few it is not worth an open directory.
kernel::Procfs near_threads(const kernel::Procfs& procfs, base::Pid pid, std::size_t threads);
// The same pulse as in `before`?
bool stands_still(const kernel::Procfs& procfs, base::Pid pid, base::Tid tid, const Pulse& before);

}  // namespace stucktrace::engine
