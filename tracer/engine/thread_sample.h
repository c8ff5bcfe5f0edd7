#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
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
  bool taken_over = false;  // from the look before
};

// What the look before this one read. A thread that has not run since is as it was then, which is
// told by one short file of the five that a sample is made of.
class SampleBook {
 public:
  // nullptr where that look did not see the thread, or did not read it itself: what others can
  // change of a blocked thread, its name, is never older than one look.
  const ThreadSample* before(base::Tid tid) const;
  void keep(base::Tid tid, const ThreadSample& sample);
  // What has been kept is now of the look before.
  void turn();

 private:
  std::unordered_map<base::Tid, ThreadSample> before_;
  std::unordered_map<base::Tid, ThreadSample> kept_;
};

// kGone where the thread has ended. `before` is taken over if the thread has not been on a CPU
// since: whether it still stands where it stood remains to be asked, as of every sample.
base::Result<ThreadSample> sample_thread(const kernel::Procfs& procfs, base::Pid pid, base::Tid tid,
                                         const ThreadSample* before = nullptr);
// To look at all of so many threads of a process: for a few it is not worth an open directory.
kernel::Procfs near_threads(const kernel::Procfs& procfs, base::Pid pid, std::size_t threads);
// The same pulse as in `before`?
bool stands_still(const kernel::Procfs& procfs, base::Pid pid, base::Tid tid, const Pulse& before);

}  // namespace stucktrace::engine
