#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tracer/base/clock.h"
#include "tracer/base/ids.h"
#include "tracer/base/result.h"
#include "tracer/engine/unseen_ends.h"
#include "tracer/kernel/kcmp.h"
#include "tracer/kernel/pipe_probe.h"
#include "tracer/kernel/procfs.h"
#include "tracer/kernel/sock_diag.h"
#include "tracer/model/resource.h"

namespace stucktrace::engine {

// How long the machine has been suspended since boot: CLOCK_BOOTTIME counts that, CLOCK_MONOTONIC
// does not (clock_gettime(2)).
base::Nanoseconds time_suspended();

// Whose processes /proc shows.
enum class Shown : std::uint8_t {
  kEverybody,
  kOwnUser,       // hidepid, proc(5)
  kOwnNamespace,  // and those below it (pid_namespaces(7)): a container
};
Shown who_is_shown(const kernel::Procfs& procfs);

// What is asked of the kernel beside /proc; replaced in tests over a made-up /proc.
struct KernelProbes {
  using Same = std::function<base::Result<bool>(base::Tid, base::Tid)>;
  Same same_memory = kernel::same_memory;
  Same same_fd_table = kernel::same_fd_table;
  std::function<base::Result<bool>(base::Tid, int, base::Tid, int)> same_open_file =
      kernel::same_open_file;
  std::function<base::Nanoseconds()> suspended = time_suspended;
  std::function<kernel::SocketLimits(base::Pid, base::Tid, int, const model::ResourceId&)>
      socket_limits = kernel::socket_limits;
  std::function<Shown(const kernel::Procfs&)> who_is_shown = engine::who_is_shown;
  std::string cgroup_root = "/sys/fs/cgroup";
};

// Who on the machine holds what. The first question reads the descriptor links of every process
// once (some microseconds a descriptor); the answers then all show that instant. Nothing is opened.
class HolderScan {
 public:
  HolderScan(const kernel::Procfs& procfs, const KernelProbes& probes)
      : procfs_(procfs), probes_(probes) {}

  // The threads of a process that have descriptor tables of their own, where that was asked of each
  // of them moments ago: the scan does not ask a thousand threads again. Before the first question.
  void knows_thread_tables(base::Pid pid, std::vector<base::Tid> of_their_own) {
    thread_tables_.insert_or_assign(pid, std::move(of_their_own));
  }
  // Sorted. Sockets are found by inode whatever their kind says; file locks and message queues by
  // device and inode.
  std::vector<model::Holder> holders(const model::ResourceId& id);
  // Processes with a writable shared mapping of the file, sorted. Reads every process's mappings
  // the first time.
  std::vector<base::Pid> mappers(std::uint64_t device, std::uint64_t inode);
  // False: mappers() does not know of every process.
  bool all_mappers_known() const { return !hidden_mappers_ && sees_everybody(); }
  // False where /proc does not show every process of the machine.
  bool sees_everybody() const { return shown() == Shown::kEverybody; }
  // Why somebody whom /proc does not show may be one more holder; "" nobody. Into a pid namespace
  // an end comes with the process that enters it from outside, which is the first there, or has its
  // parent outside.
  std::string unseen_holder(const std::vector<model::Holder>& holders) const;
  // Where an end of it may be that is in nobody's descriptor table (unseen_ends.h); "" nowhere.
  // `sockets` spares looking at those that are no unix sockets; nullptr: not known.
  std::string unseen_end(const model::ResourceId& id, const kernel::SocketTable* sockets);
  // Processes whose descriptors could not be read: any of them may hold anything. Sorted; scans if
  // nothing has been asked yet.
  const std::vector<base::Pid>& unreadable();

 private:
  using Located = TableEntry;
  Shown shown() const;
  void scan();
  void scan_process(base::Pid pid);
  // False where the directory cannot be read.
  bool scan_table(base::Pid pid, base::Tid tid, std::size_t& found);
  void scan_thread_tables(base::Pid pid, bool all);
  bool can_hold_nothing(base::Pid pid) const;
  void stat_paths();
  void read_event_fds();
  model::FdMode link_mode(const Located& end) const;
  std::string table_path(const Located& end) const;

  const kernel::Procfs& procfs_;
  const KernelProbes& probes_;
  std::map<base::Pid, std::vector<base::Tid>> thread_tables_;
  bool scanned_ = false;
  bool paths_done_ = false;
  bool event_fds_done_ = false;
  bool maps_done_ = false;
  bool hidden_mappers_ = false;
  mutable std::optional<Shown> shown_;
  std::optional<UnseenEnds> unseen_;
  std::unordered_map<std::uint64_t, std::vector<Located>> pipes_;
  std::unordered_map<std::uint64_t, std::vector<Located>> sockets_;
  std::unordered_map<std::uint64_t, std::vector<Located>> event_fds_;
  std::vector<Located> unread_event_fds_;
  std::vector<Located> rings_;
  std::vector<Located> path_ends_;
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::vector<Located>> files_;
  std::map<std::uint64_t, std::vector<Located>> terminals_;    // by device number
  std::map<std::uint64_t, std::vector<Located>> pty_masters_;  // by index
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::set<base::Pid>> mappers_;
  std::vector<base::Pid> unreadable_;
};

}  // namespace stucktrace::engine
