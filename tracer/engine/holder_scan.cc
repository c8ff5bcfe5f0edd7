#include "tracer/engine/holder_scan.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstring>
#include <memory>
#include <string_view>

#include "tracer/base/errno.h"

namespace stucktrace::engine {
namespace {

using model::FdMode;
using model::Holder;
using model::ResourceId;
using model::ResourceKind;

constexpr std::uint64_t kKernelThread = 0x00200000;  // PF_KTHREAD

int parse_number(const char* text) {
  int value = -1;
  const char* end = text + std::strlen(text);
  const auto [stop, error] = std::from_chars(text, end, value);
  return error == std::errc{} && stop == end ? value : -1;
}

}  // namespace

std::string HolderScan::table_path(const Located& end) const {
  if (end.tid) return fmt::format("{}/{}/task/{}/fd", procfs_.root(), end.pid, end.tid);
  return fmt::format("{}/{}/fd", procfs_.root(), end.pid);
}

bool HolderScan::scan_table(base::Pid pid, base::Tid tid, std::size_t& found) {
  const std::string path = table_path({pid, tid, -1, 0});
  const std::unique_ptr<DIR, int (*)(DIR*)> directory{::opendir(path.c_str()), &::closedir};
  if (!directory) return base::Errno::last().value() != EACCES;
  std::array<char, PATH_MAX> buffer;
  while (const dirent* entry = ::readdir(directory.get())) {
    const int fd = parse_number(entry->d_name);
    if (fd < 0) continue;
    ++found;
    const ssize_t got =
        ::readlinkat(::dirfd(directory.get()), entry->d_name, buffer.data(), buffer.size());
    // Whether links may be read is asked of the process, not of each (proc(5), ptrace(2)).
    if (got < 0 && errno == EACCES) break;
    if (got <= 0) continue;
    const std::string_view link{buffer.data(), static_cast<std::size_t>(got)};
    const ResourceId id = kernel::parse_fd_link(link);
    const Located end{pid, tid, fd, id.inode};
    switch (id.kind) {
      case ResourceKind::kPipe:
        pipes_[id.inode].push_back(end);
        break;
      case ResourceKind::kOtherSocket:
        sockets_[id.inode].push_back(end);
        break;
      case ResourceKind::kEventFd:
        unread_event_fds_.push_back(end);
        break;
      case ResourceKind::kIoUring:
        rings_.push_back(end);
        break;
      case ResourceKind::kUnknown:
        path_ends_.push_back(end);
        break;
      default:
        break;
    }
  }
  return true;
}

// Threads made without CLONE_FILES have tables of their own; all = the main thread has ended and
// its table with it.
void HolderScan::scan_thread_tables(base::Pid pid, bool all) {
  std::size_t ignored = 0;
  if (const auto known = thread_tables_.find(pid); known != thread_tables_.end() && !all) {
    for (const base::Tid tid : known->second) scan_table(pid, tid, ignored);
    return;
  }
  const auto tasks = procfs_.tasks(pid);
  if (!tasks || tasks->size() < 2) return;
  for (const base::Tid tid : *tasks) {
    if (tid == base::main_thread(pid)) continue;
    if (!all) {
      // Where that may not be asked (a seccomp profile without kcmp(2)) it may have one.
      const auto same = probes_.same_fd_table(base::main_thread(pid), tid);
      if (same && *same) continue;
    }
    std::size_t found = 0;
    scan_table(pid, tid, found);
    // One table is shared by those left, as far as can be asked without their leader.
    if (all && found > 0) return;
  }
}

bool HolderScan::can_hold_nothing(base::Pid pid) const {
  const auto stat = procfs_.stat(pid);
  return !stat || (stat->flags & kKernelThread) != 0 ||
         (stat->state == 'Z' && stat->thread_count <= 1);
}

void HolderScan::scan_process(base::Pid pid) {
  std::size_t found = 0;
  if (!scan_table(pid, base::Tid{}, found)) {
    if (!can_hold_nothing(pid)) unreadable_.push_back(pid);
    return;
  }
  scan_thread_tables(pid, found == 0);
}

void HolderScan::scan() {
  if (scanned_) return;
  scanned_ = true;
  for (const base::Pid pid : procfs_.processes().value_or(std::vector<base::Pid>{})) {
    scan_process(pid);
  }
}

void HolderScan::stat_paths() {
  if (paths_done_) return;
  paths_done_ = true;
  for (const Located& end : path_ends_) {
    const std::string path = fmt::format("{}/{}", table_path(end), end.fd);
    struct statx info{};
    // Without asking a network server, which may be what everything hangs on.
    if (::statx(AT_FDCWD, path.c_str(), AT_STATX_DONT_SYNC, STATX_TYPE | STATX_INO, &info) != 0) {
      continue;
    }
    const std::uint64_t device = makedev(info.stx_dev_major, info.stx_dev_minor);
    files_[{device, info.stx_ino}].push_back(end);
    if (!S_ISCHR(info.stx_mode)) continue;
    constexpr unsigned kAliasMajor = 5, kPtmxMinor = 2;
    if (info.stx_rdev_major == kAliasMajor && info.stx_rdev_minor == kPtmxMinor) {
      const auto fdinfo = procfs_.fdinfo(end.pid, end.fd);
      if (fdinfo && fdinfo->tty_index) {
        pty_masters_[static_cast<std::uint64_t>(*fdinfo->tty_index)].push_back(end);
      }
    } else {
      terminals_[makedev(info.stx_rdev_major, info.stx_rdev_minor)].push_back(end);
    }
  }
}

void HolderScan::read_event_fds() {
  if (event_fds_done_) return;
  event_fds_done_ = true;
  for (const Located& end : unread_event_fds_) {
    const std::optional<base::Tid> tid = end.tid ? std::optional{end.tid} : std::nullopt;
    const auto info = procfs_.fdinfo(end.pid, end.fd, tid);
    if (info && info->eventfd_id) event_fds_[*info->eventfd_id].push_back(end);
  }
}

// The permission bits of the link itself tell how the file was opened (proc(5)); cheaper than
// fdinfo.
FdMode HolderScan::link_mode(const Located& end) const {
  const std::string path = fmt::format("{}/{}", table_path(end), end.fd);
  struct stat info{};
  if (::lstat(path.c_str(), &info) != 0) return FdMode::kNone;
  const unsigned mode =
      ((info.st_mode & S_IRUSR) != 0 ? 1U : 0U) | ((info.st_mode & S_IWUSR) != 0 ? 2U : 0U);
  return static_cast<FdMode>(mode);
}

std::vector<Holder> HolderScan::holders(const ResourceId& id) {
  scan();
  const std::vector<Located>* ends = nullptr;
  const auto find = [&ends](const auto& index, const auto& key) {
    if (const auto at = index.find(key); at != index.end()) ends = &at->second;
  };
  bool both_ways = false;
  switch (id.kind) {
    case ResourceKind::kPipe:
      find(pipes_, id.inode);
      break;
    case ResourceKind::kUnixSocket:
    case ResourceKind::kTcpSocket:
    case ResourceKind::kOtherSocket:
      find(sockets_, id.inode);
      both_ways = true;
      break;
    case ResourceKind::kEventFd:
      read_event_fds();
      find(event_fds_, id.inode);
      break;
    case ResourceKind::kTty:
      stat_paths();
      find(terminals_, id.inode);
      break;
    case ResourceKind::kPtyMaster:
      stat_paths();
      find(pty_masters_, id.inode);
      break;
    case ResourceKind::kFifo:
    case ResourceKind::kRegularFile:
    case ResourceKind::kFileLock:
    case ResourceKind::kMessageQueue:
      stat_paths();
      find(files_, std::pair{id.device, id.inode});
      break;
    default:
      break;
  }
  std::vector<Holder> result;
  if (ends == nullptr) return result;
  for (const Located& end : *ends) {
    const FdMode mode = both_ways ? FdMode::kBoth : link_mode(end);
    // An O_PATH descriptor keeps the file, not an end of it (open(2)).
    if (mode != FdMode::kNone) result.push_back({end.pid, end.fd, mode});
  }
  std::ranges::sort(result);
  result.erase(std::unique(result.begin(), result.end()), result.end());
  return result;
}

std::vector<base::Pid> HolderScan::mappers(std::uint64_t device, std::uint64_t inode) {
  if (!maps_done_) {
    maps_done_ = true;
    for (const base::Pid pid : procfs_.processes().value_or(std::vector<base::Pid>{})) {
      const auto maps = procfs_.maps(pid);
      if (!maps) {
        hidden_mappers_ |= maps.error().kind == base::ErrorKind::kDenied;
        continue;
      }
      for (const kernel::MapEntry& entry : *maps) {
        if (!entry.shared || !entry.writable) continue;
        mappers_[{makedev(entry.device_major, entry.device_minor), entry.inode}].insert(pid);
      }
    }
  }
  const auto at = mappers_.find({device, inode});
  if (at == mappers_.end()) return {};
  return {at->second.begin(), at->second.end()};
}

Shown who_is_shown(const kernel::Procfs& procfs) {
  // Everybody may see that process 1 exists, unless /proc hides it.
  if (!procfs.stat(base::Pid{1})) return Shown::kOwnUser;
  // The first pid namespace has a number of its own, and the kernel's threads: the number cannot be
  // asked for without permission for process 1, where /proc is not that of our own namespace.
  constexpr std::string_view kFirst = "pid:[4026531836]";  // PROC_PID_INIT_INO
  constexpr base::Pid kThreadMaker{2};                     // kthreadd
  const auto own = procfs.link("self/ns/pid");
  if (own && *own == kFirst) return Shown::kEverybody;
  const auto maker = procfs.stat(kThreadMaker);
  const bool is_kernels = maker && (maker->flags & kKernelThread) != 0;
  return is_kernels ? Shown::kEverybody : Shown::kOwnNamespace;
}

Shown HolderScan::shown() const {
  if (!shown_) shown_ = probes_.who_is_shown(procfs_);
  return *shown_;
}

std::string HolderScan::unseen_holder(const std::vector<Holder>& holders) const {
  if (shown() == Shown::kOwnUser) return "/proc hides the processes of other users (hidepid)";
  if (shown() == Shown::kEverybody) return {};
  for (const Holder& holder : holders) {
    const auto stat = procfs_.stat(holder.pid);
    if (stat && stat->parent != 0) continue;
    return fmt::format(
        "process {} comes from outside of this pid namespace (container), where "
        "others may hold it as well",
        holder.pid);
  }
  return {};
}

std::string HolderScan::unseen_end(const ResourceId& id, const kernel::SocketTable* sockets) {
  scan();
  if (!unseen_) {
    std::vector<Located> queues;
    for (const auto& [inode, ends] : sockets_) {
      const auto* known = sockets != nullptr ? sockets->find(inode) : nullptr;
      const bool may_carry = known == nullptr || known->kind == ResourceKind::kUnixSocket;
      if (may_carry) queues.push_back(ends.front());
    }
    unseen_.emplace(procfs_, std::move(queues), rings_);
  }
  return unseen_->where(id);
}

const std::vector<base::Pid>& HolderScan::unreadable() {
  scan();
  return unreadable_;
}

}  // namespace stucktrace::engine
