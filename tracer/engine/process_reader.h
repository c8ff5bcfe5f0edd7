#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tracer/base/ids.h"
#include "tracer/base/result.h"
#include "tracer/engine/thread_sample.h"
#include "tracer/engine/wait_reader.h"
#include "tracer/kernel/procfs.h"
#include "tracer/kernel/sock_diag.h"
#include "tracer/model/snapshot.h"

namespace stucktrace::engine {

// The sockets of the machine as far as they were needed: our own network namespace at the first
// question, another one when a process in it is read.
class SocketCatalog {
 public:
  explicit SocketCatalog(const kernel::Procfs& procfs) : procfs_(procfs) {}

  // Tells unix from tcp sockets in the table of `pid`.
  void resolve(base::Pid pid, std::vector<model::FdEntry>& fds);
  // nullptr where the kernel was not asked or refused.
  const kernel::SocketTable* table() const { return table_ ? &*table_ : nullptr; }

 private:
  const kernel::Procfs& procfs_;
  bool asked_ = false;
  std::string own_namespace_;
  std::set<std::string> seen_namespaces_;
  std::optional<kernel::SocketTable> table_;
};

// A process being read: what the snapshot will hold, and what reading its waits needs.
struct ProcessDraft {
  model::Process process;  // threads are added as their waits are read
  ProcessView view;
  std::map<base::Tid, ThreadSample> samples;
  // Descriptors of threads that do not share the process's table.
  std::map<base::Tid, std::vector<model::FdEntry>> own_tables;
  bool all_tables_known = false;  // every other thread shares the process's
  int distance = 0;  // from the tree: 0 in it, 1 holds another end of something in it, ...
};

// Reads everything about a process but its waits. kGone where it has ended. The draft stays where
// it is: the view points into it.
base::Result<std::unique_ptr<ProcessDraft>> read_process(const kernel::Procfs& procfs,
                                                         const KernelProbes& probes,
                                                         SocketCatalog& sockets, SampleBook& book,
                                                         base::Pid pid);

}  // namespace stucktrace::engine
