#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tracer/base/ids.h"
#include "tracer/base/result.h"
#include "tracer/kernel/procfs_parse.h"
#include "tracer/model/resource.h"

namespace stucktrace::kernel {

enum class FdDetail : std::uint8_t {
  kLinks,    // no netlink: sockets stay kOtherSocket
  kSockets,  // unix and tcp sockets told apart by sock_diag(7) in our network namespace
};

// Reads /proc. Nothing here stops, opens or changes what it looks at; every read is bounded.
// Errors: kGone where the task has ended meanwhile (ordinary), kDenied without permission. All
// calls may be made for any process at any time; a missing permission differs per file, proc(5).
class Procfs {
 public:
  // Another root serves tests with a made-up tree.
  explicit Procfs(std::string root = "/proc") : root_(std::move(root)) {}

  const std::string& root() const { return root_; }
  // The same, with the directory of this process's threads kept open: their files are then found
  // from there, for less than from the root. For a while: it holds a descriptor.
  Procfs near(base::Pid pid) const;

  // Of the process (times summed over its threads), or of one thread.
  base::Result<TaskStat> stat(base::Pid pid, std::optional<base::Tid> tid = {}) const;
  base::Result<TaskStatus> status(base::Pid pid, std::optional<base::Tid> tid = {}) const;
  // nullopt: on a CPU, or about to be. Abi is kI386 for a 32-bit task.
  base::Result<std::optional<model::SyscallLine>> syscall(base::Pid pid, base::Tid tid) const;
  // The kernel function a thread sleeps in; "" where it does not, or where that is not told.
  base::Result<std::string> wchan(base::Pid pid, base::Tid tid) const;
  // Run time, queueing time and number of turns on a CPU, as text to compare: any step of the
  // thread changes it. Costs a third of stat and status. "" where the kernel does not count.
  base::Result<std::string> schedule(base::Pid pid, base::Tid tid) const;
  base::Result<std::string> comm(base::Pid pid, std::optional<base::Tid> tid = {}) const;
  base::Result<std::vector<std::string>> cmdline(base::Pid pid) const;
  base::Result<std::string> exe(base::Pid pid) const;
  // Sorted. A zombie has its main thread only.
  base::Result<std::vector<base::Tid>> tasks(base::Pid pid) const;
  // Sorted; children of one thread. The kernel may leave some out while others exit (proc(5)).
  base::Result<std::vector<base::Pid>> children(base::Pid pid, base::Tid tid) const;
  // Sorted; every process that can be seen.
  base::Result<std::vector<base::Pid>> processes() const;

  // Sorted by number. `tid` names a thread with its own table, or a live thread of a process whose
  // main thread has ended.
  base::Result<std::vector<model::FdEntry>> fds(base::Pid pid, FdDetail detail,
                                                std::optional<base::Tid> tid = {}) const;
  base::Result<model::FdEntry> fd(base::Pid pid, int fd, FdDetail detail,
                                  std::optional<base::Tid> tid = {}) const;
  base::Result<FdInfo> fdinfo(base::Pid pid, int fd, std::optional<base::Tid> tid = {}) const;
  base::Result<std::vector<MapEntry>> maps(base::Pid pid) const;
  base::Result<std::vector<FdInfo::Lock>> locks() const;

  // Text of a file below the root ("sys/kernel/pid_max"), at most `limit` bytes.
  base::Result<std::string> text(const std::string& path, std::size_t limit = 1U << 20U) const;
  // readlink below the root.
  base::Result<std::string> link(const std::string& path) const;
  // The path of a file below the root, for stat(2).
  std::string path(const std::string& below) const { return root_ + "/" + below; }

 private:
  struct Tasks;

  base::Result<std::string> small_text(const std::string& path) const;
  base::Result<std::string> task_text(base::Pid pid, std::optional<base::Tid> tid,
                                      std::string_view name) const;
  std::string root_;
  std::shared_ptr<const Tasks> near_;
};

// Turns kOtherSocket entries into kUnixSocket and kTcpSocket by one sock_diag dump; leaves them
// alone where the dump is refused.
void resolve_sockets(std::vector<model::FdEntry>& entries);

}  // namespace stucktrace::kernel
