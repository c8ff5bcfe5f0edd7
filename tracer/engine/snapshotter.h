#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "tracer/base/clock.h"
#include "tracer/base/ids.h"
#include "tracer/base/result.h"
#include "tracer/engine/cgroup_reader.h"
#include "tracer/engine/holder_scan.h"
#include "tracer/engine/thread_sample.h"
#include "tracer/kernel/procfs.h"
#include "tracer/model/snapshot.h"

namespace stucktrace::unwind {
class ElfFiles;
}

namespace stucktrace::engine {

struct SnapshotOptions {
  std::vector<base::Pid> roots;
  bool native_stacks = true;
  bool python_stacks = true;
  // Threads that run may be stopped for some microseconds, for their native stack.
  bool may_stop = false;
  // Stacks also of the processes taken in because they hold another end, not of the tree alone.
  bool all_stacks = false;
  // What is not read by then is left out, and said to be.
  base::Nanoseconds time_limit = std::chrono::seconds{5};
  // What this process traces counts as neither traced by somebody nor stopped. 0 = nothing.
  base::Pid tracer_self;
};

// Live processes -> model::Snapshot, through /proc, sock_diag and pidfds; stops nothing and leaves
// nothing behind. The tree below the roots, and every process that can end a wait found in it. May
// be called again and again; files and symbols read for stacks are kept between calls. Not for two
// threads at once.
class Snapshotter {
 public:
  Snapshotter();
  // Tests bring their own /proc, time and answers.
  Snapshotter(kernel::Procfs procfs, std::shared_ptr<const base::Clock> clock, KernelProbes probes);
  ~Snapshotter();

  // kGone when none of the roots exists (any more).
  base::Result<std::shared_ptr<model::Snapshot>> take(const SnapshotOptions& options);

 private:
  kernel::Procfs procfs_;
  std::shared_ptr<const base::Clock> clock_;
  KernelProbes probes_;
  std::shared_ptr<unwind::ElfFiles> elf_files_;
  CgroupReader cgroups_;
  SampleBook book_;
  std::optional<base::Nanoseconds> suspended_before_;  // at the last look
};

}  // namespace stucktrace::engine
