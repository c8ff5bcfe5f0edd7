#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "syscalls/memory.h"
#include "tracer/base/clock.h"
#include "tracer/base/ids.h"
#include "tracer/engine/holder_scan.h"
#include "tracer/engine/thread_sample.h"
#include "tracer/kernel/procfs.h"
#include "tracer/kernel/sock_diag.h"
#include "tracer/model/snapshot.h"

namespace stucktrace::engine {

// What the reading of a wait needs to know of the thread's process.
struct ProcessView {
  base::Pid pid;
  std::uint64_t address_space = 0;
  std::int32_t process_group = 0;
  std::int32_t terminal = 0;
  std::vector<std::int32_t> ns_pids;
  const std::vector<model::FdEntry>* fds = nullptr;  // nullptr: could not be read
  std::vector<base::Tid> live_threads;               // sorted; no zombies
  // Tids as the process itself knows them; empty where it lives in our pid namespace.
  std::map<std::int32_t, base::Tid> inner_tids;
};

// Facts about resources that only a waiting thread's memory tells.
struct ResourceNotes {
  // A connecting socket -> the inodes of those who listen there.
  std::map<model::ResourceId, std::vector<std::uint64_t>> listeners;
  std::map<model::ResourceId, std::string> labels;  // a fifo -> the path it is opened by
};

// What many waits of one process ask for, read once.
class ProcessCache {
 public:
  explicit ProcessCache(const kernel::Procfs& procfs) : procfs_(procfs) {}

  // The mapping that holds the address; nullptr: none, or no permission. Reads the mappings again
  // when they do not know the address (it may be newer). Valid until the next call.
  const kernel::MapEntry* mapping(base::Pid pid, base::RemoteAddr address);
  // Children over all threads, sorted; by the parent in stat on a kernel without lists of children.
  const std::vector<base::Pid>& children(base::Pid pid);
  struct Tracee {
    base::Pid pid;     // one of its threads is traced ...
    base::Tid tracer;  // ... by this thread
  };
  // Of all processes that can be seen.
  const std::vector<Tracee>& tracees();

 private:
  const kernel::Procfs& procfs_;
  std::map<base::Pid, std::vector<kernel::MapEntry>> maps_;
  std::map<base::Pid, std::vector<base::Pid>> children_;
  std::optional<std::vector<Tracee>> tracees_;
};

// What all readings of one snapshot share.
struct Surroundings {
  const kernel::Procfs& procfs;
  const base::Clock& clock;
  const KernelProbes& probes;
  HolderScan& holders;
  ResourceNotes& notes;
  ProcessCache& cache;
  const kernel::SocketTable* sockets = nullptr;  // nullptr: could not be asked
  base::Pid tracer_self;                         // what we trace ourselves is not stopped for long
};

// What `thread` waits for: its state first, then its system call with the arguments' memory, wchan
// only as a hint. Never fails: what cannot be known becomes OnUnknown with the reason.
model::Wait read_wait(const Surroundings& around, const ProcessView& process, base::Tid tid,
                      const ThreadSample& thread, const syscalls::RemoteMemory& memory);

}  // namespace stucktrace::engine
