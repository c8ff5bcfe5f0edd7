#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "tracer/base/ids.h"
#include "tracer/model/event.h"

namespace stucktrace::model {

// Every process's descriptor table, followed from events alone (so it replays): tables seen at
// attach and exec, made_fds of exits, dup/close/close_range/fcntl, inheritance through fork,
// sharing through CLONE_FILES.
class FdTracker {
 public:
  void observe(const Event& event);
  // Grows whenever anything may have changed.
  std::uint64_t version() const { return version_; }

  const FdEntry* find(base::Pid pid, int fd) const;
  // By number; empty for a process never seen.
  std::vector<FdEntry> entries(base::Pid pid) const;
  // Live processes whose table has this resource open for any of `mode`'s directions.
  std::vector<Holder> holders(const ResourceId& resource, FdMode mode) const;
  // The descriptor is 1 or 2, or shows the same resource as the process's 1 or 2, or is a tty.
  bool is_output(base::Pid pid, int fd) const;

 private:
  struct Table {
    std::map<int, FdEntry> entries;
  };
  const Table* table(base::Pid pid) const;
  Table& writable(base::Pid pid);
  // Gives the process a table of its own where it shares one (unshare(2), execve(2)).
  Table& unshared(base::Pid pid);
  void forget(base::Pid pid);
  void seen(const Event& event, const TaskSeen& seen);
  void made(const Event& event, const NewTask& made);
  void executed(const Event& event, const Exec& exec);
  bool may_change(const Event& event) const;
  void returned(const Event& event, const SyscallExit& exit);
  void duplicate(base::Pid pid, int from, int to, bool close_on_exec);

  std::uint64_t version_ = 0;
  std::unordered_map<base::Pid, std::shared_ptr<Table>> tables_;
  std::unordered_map<base::Pid, std::unordered_set<base::Tid>> threads_;  // live, as far as seen
  // Processes whose table is known from a TaskSeen that no NewTask preceded.
  std::unordered_set<base::Pid> unclaimed_;
};

// Input read there makes a program work. Files are left out: an interpreter on its way out still
// reads modules.
bool is_work(const FdEntry& entry);

}  // namespace stucktrace::model
