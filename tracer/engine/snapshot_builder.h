#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tracer/base/clock.h"
#include "tracer/engine/process_reader.h"
#include "tracer/engine/resource_reader.h"
#include "tracer/engine/snapshotter.h"
#include "tracer/engine/wait_reader.h"
#include "tracer/model/snapshot.h"

namespace stucktrace::engine {

// The work of one look: processes are read from the roots outwards until nobody is left who could
// end a wait that was found.
class SnapshotBuilder {
 public:
  SnapshotBuilder(const kernel::Procfs& procfs, const KernelProbes& probes,
                  const SnapshotOptions& options);

  // False when no root exists.
  bool read_tree();
  void read_counterparts();
  void read_stacks();
  std::shared_ptr<model::Snapshot> finish();

 private:
  bool out_of_time();
  void read_one(base::Pid pid, int distance);
  void read_waits(ProcessDraft& draft);
  model::Thread read_thread(const ProcessDraft& draft, base::Tid tid, ThreadSample sample);
  void share_memory_of_parent(ProcessDraft& draft);
  void read_python(model::Process& process);
  void read_native(model::Process& process);
  void name_roles();
  void name_what_was_not_seen();

  const kernel::Procfs& procfs_;
  const KernelProbes& probes_;
  const SnapshotOptions& options_;
  base::SystemClock clock_;
  base::Instant started_;
  bool timed_out_ = false;
  SocketCatalog sockets_;
  HolderScan holders_;
  ResourceNotes notes_;
  ResourceReader resources_;
  std::map<base::Pid, std::unique_ptr<ProcessDraft>> drafts_;
  std::deque<std::pair<base::Pid, int>> queue_;  // with the distance from the tree
  std::set<base::Pid> unreachable_;              // counterparts too far or too many to be read
  std::shared_ptr<model::Snapshot> snapshot_;
};

}  // namespace stucktrace::engine
