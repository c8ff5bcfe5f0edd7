#pragma once

#include <memory>
#include <vector>

#include "tracer/base/clock.h"
#include "tracer/base/ids.h"
#include "tracer/base/result.h"
#include "tracer/engine/holder_scan.h"
#include "tracer/kernel/procfs.h"
#include "tracer/model/snapshot.h"

namespace stucktrace::engine {

struct SnapshotOptions {
  std::vector<base::Pid> roots;  // they and their descendants are the tree
  bool native_stacks = true;     // of blocked threads
  bool python_stacks = true;     // of CPython processes; also thread names and deadlines
  bool all_stacks = false;       // of processes outside the tree as well
  // Nothing new is begun after this; what is missing then is said in could_not_see.
  base::Nanoseconds time_limit = std::chrono::seconds{5};
  // The process that traces the tree for us: its stops are not "stopped by somebody". 0 = nobody.
  base::Pid tracer_self;
};

// Looks at live processes without stopping, opening or changing anything: the tree below the roots,
// what every thread of it waits for, and every process on the machine that could end one of these
// waits. One look at one instant, as far as that can be: each wait is kept only if its thread stood
// still while it was read.
class Snapshotter {
 public:
  explicit Snapshotter(kernel::Procfs procfs = kernel::Procfs{}, KernelProbes probes = {})
      : procfs_(std::move(procfs)), probes_(std::move(probes)) {}

  // kGone when none of the roots exists any more. Missing permissions are no error: what they hide
  // is unknown in the snapshot, and named.
  base::Result<std::shared_ptr<model::Snapshot>> take(const SnapshotOptions& options);

 private:
  kernel::Procfs procfs_;
  KernelProbes probes_;
};

}  // namespace stucktrace::engine
