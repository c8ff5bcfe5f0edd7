#include "tracer/engine/snapshotter.h"

#include <fmt/format.h>

#include "tracer/engine/snapshot_builder.h"

namespace stucktrace::engine {

base::Result<std::shared_ptr<model::Snapshot>> Snapshotter::take(const SnapshotOptions& options) {
  SnapshotBuilder builder(procfs_, probes_, options);
  if (!builder.read_tree()) {
    const base::Pid first = options.roots.empty() ? base::Pid{} : options.roots.front();
    return base::Failure{{base::ErrorKind::kGone, fmt::format("process {} has ended", first),
                          base::Errno{}, base::main_thread(first), ""}};
  }
  builder.read_counterparts();
  builder.read_stacks();
  return builder.finish();
}

}  // namespace stucktrace::engine
