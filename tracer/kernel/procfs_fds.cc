// Descriptors through /proc/PID/fd and fdinfo. Links are read and stat'ed, never opened: opening
// the link of a pipe or fifo makes a new end and can wake or fool its users.

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <memory>

#include "tracer/base/unique_fd.h"
#include "tracer/kernel/procfs.h"
#include "tracer/kernel/sock_diag.h"
#include "tracer/kernel/text_scan.h"

namespace stucktrace::kernel {
namespace {

using model::FdEntry;
using model::FdMode;
using model::ResourceId;
using model::ResourceKind;

constexpr std::uint64_t kMqueueMagic = 0x19800202;

// The two directories of one table, opened once.
struct FdTable {
  base::UniqueFd links;
  base::UniqueFd info;
  std::string path;  // of the links
  base::Pid pid;
  const Procfs* procfs;
};

base::Result<FdTable> open_table(const Procfs& procfs, base::Pid pid,
                                 std::optional<base::Tid> tid) {
  const std::string task = tid ? fmt::format("{}/{}/task/{}", procfs.root(), pid, *tid)
                               : fmt::format("{}/{}", procfs.root(), pid);
  FdTable table{{}, {}, task + "/fd", pid, &procfs};
  constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
  table.links.reset(::open(table.path.c_str(), kFlags));
  if (!table.links.valid()) return base::system_error("open " + table.path, base::Errno::last());
  table.info.reset(::open((task + "/fdinfo").c_str(), kFlags));
  if (!table.info.valid()) {
    return base::system_error("open " + task + "/fdinfo", base::Errno::last());
  }
  return table;
}

base::Result<FdInfo> read_info(const FdTable& table, const char* number) {
  const base::UniqueFd fd{::openat(table.info.get(), number, O_RDONLY | O_CLOEXEC)};
  if (!fd.valid()) return base::system_error("read fdinfo", base::Errno::last());
  // The lines that identify a descriptor come first; the long tails (epoll targets) are for those
  // who ask for fdinfo() itself.
  std::array<char, 1024> buffer;
  const ssize_t got = ::read(fd.get(), buffer.data(), buffer.size());
  if (got < 0) return base::system_error("read fdinfo", base::Errno::last());
  return parse_fdinfo({buffer.data(), static_cast<std::size_t>(got)});
}

FdMode mode_of(std::uint32_t flags) {
  if ((flags & O_PATH) != 0) return FdMode::kNone;
  switch (flags & O_ACCMODE) {
    case O_RDONLY:
      return FdMode::kRead;
    case O_WRONLY:
      return FdMode::kWrite;
    case O_RDWR:
      return FdMode::kBoth;
    default:
      return FdMode::kNone;  // 3: ioctl only, open(2)
  }
}

bool is_terminal(unsigned major, unsigned minor) {
  constexpr unsigned kVirtualAndSerial = 4, kTtyAlias = 5, kFirstPts = 136, kLastPts = 143;
  constexpr std::array<unsigned, 4> kUsbSerialAndConsoles = {166, 188, 204, 229};
  if (major == kTtyAlias) return minor <= 1;  // /dev/tty, /dev/console
  return major == kVirtualAndSerial || (major >= kFirstPts && major <= kLastPts) ||
         std::ranges::find(kUsbSerialAndConsoles, major) != kUsbSerialAndConsoles.end();
}

// /dev/tty is whatever terminal controls the process: field tty_nr of stat, proc(5).
ResourceId controlling_terminal(const FdTable& table, std::uint64_t alias) {
  const auto stat = table.procfs->stat(table.pid);
  if (!stat || stat->tty == 0) return {ResourceKind::kTty, 0, alias, 0};
  const auto number = static_cast<std::uint32_t>(stat->tty);
  const unsigned major = (number >> 8U) & 0xfffU;
  const unsigned minor = (number & 0xffU) | ((number >> 12U) & 0xfff00U);
  return {ResourceKind::kTty, 0, makedev(major, minor), 0};
}

ResourceId character_device(const FdTable& table, const struct statx& info, const FdInfo& fdinfo) {
  constexpr unsigned kAliasMajor = 5, kPtmxMinor = 2;
  const unsigned device_major = info.stx_rdev_major;
  const unsigned device_minor = info.stx_rdev_minor;
  const std::uint64_t number = makedev(device_major, device_minor);
  if (device_major == kAliasMajor && device_minor == kPtmxMinor) {
    const auto index = static_cast<std::uint64_t>(fdinfo.tty_index.value_or(-1));
    return {ResourceKind::kPtyMaster, 0, index, 0};
  }
  if (device_major == kAliasMajor && device_minor == 0) {
    return controlling_terminal(table, number);
  }
  if (is_terminal(device_major, device_minor)) {
    return {ResourceKind::kTty, 0, number, 0};
  }
  return {ResourceKind::kCharDevice, makedev(info.stx_dev_major, info.stx_dev_minor), info.stx_ino,
          0};
}

ResourceId regular_file(const FdTable& table, const char* number, const struct statx& info,
                        std::string_view label) {
  const std::uint64_t device = makedev(info.stx_dev_major, info.stx_dev_minor);
  const ResourceId file{ResourceKind::kRegularFile, device, info.stx_ino, 0};
  // Message queues and memfds live on file systems without a block device; nothing else needs the
  // extra system call.
  if (info.stx_dev_major != 0 || label.find('/', 1) != std::string_view::npos) return file;
  if (label.starts_with("/memfd:") && info.stx_nlink == 0) {
    return {ResourceKind::kMemFd, device, info.stx_ino, 0};
  }
  struct statfs system{};
  if (::statfs((table.path + "/" + number).c_str(), &system) == 0 &&
      static_cast<std::uint64_t>(system.f_type) == kMqueueMagic) {
    return {ResourceKind::kMessageQueue, device, info.stx_ino, 0};
  }
  return file;
}

ResourceId by_path(const FdTable& table, const char* number, const FdInfo& fdinfo,
                   std::string_view label) {
  struct statx info{};
  // Without asking a network server, which may be what everything hangs on.
  constexpr unsigned kMask = STATX_TYPE | STATX_INO | STATX_NLINK;
  if (::statx(table.links.get(), number, AT_STATX_DONT_SYNC, kMask, &info) != 0) return {};
  const std::uint64_t device = makedev(info.stx_dev_major, info.stx_dev_minor);
  switch (info.stx_mode & S_IFMT) {
    case S_IFIFO:
      return {ResourceKind::kFifo, device, info.stx_ino, 0};
    case S_IFREG:
      return regular_file(table, number, info, label);
    case S_IFDIR:
      return {ResourceKind::kDirectory, device, info.stx_ino, 0};
    case S_IFCHR:
      return character_device(table, info, fdinfo);
    case S_IFBLK:
      return {ResourceKind::kBlockDevice, device, info.stx_ino, 0};
    default:
      return {ResourceKind::kUnknown, device, info.stx_ino, 0};
  }
}

// An anonymous object that the kernel gives no number of its own is named by who has it where; a
// copy elsewhere then counts as another object, which is the careful reading.
ResourceId identify(ResourceId id, const FdTable& table, int fd, const FdInfo& info) {
  if (id.kind == ResourceKind::kEventFd && info.eventfd_id) {
    id.inode = *info.eventfd_id;
  } else if (id.kind == ResourceKind::kPidFd && info.pidfd_pid && *info.pidfd_pid > 0) {
    id.inode = static_cast<std::uint64_t>(*info.pidfd_pid);
  } else if (id.inode == 0) {
    id.device = static_cast<std::uint64_t>(table.pid.value());
    id.inode = static_cast<std::uint64_t>(fd);
  }
  return id;
}

base::Result<FdEntry> read_entry(const FdTable& table, const char* number, int fd) {
  std::array<char, PATH_MAX> buffer;
  const ssize_t got = ::readlinkat(table.links.get(), number, buffer.data(), buffer.size());
  if (got < 0) return base::system_error("readlink " + table.path, base::Errno::last());
  const auto info = read_info(table, number);
  if (!info) return std::unexpected(info.error());
  FdEntry entry;
  entry.fd = fd;
  entry.label.assign(buffer.data(), static_cast<std::size_t>(got));
  entry.mode = mode_of(info->flags);
  entry.nonblocking = (info->flags & O_NONBLOCK) != 0;
  entry.close_on_exec = (info->flags & O_CLOEXEC) != 0;
  entry.resource = parse_fd_link(entry.label);
  switch (entry.resource.kind) {
    case ResourceKind::kUnknown:
      entry.resource = by_path(table, number, *info, entry.label);
      break;
    case ResourceKind::kPipe:
    case ResourceKind::kOtherSocket:
      break;
    default:
      entry.resource = identify(entry.resource, table, fd, *info);
  }
  return entry;
}

}  // namespace

base::Result<std::vector<FdEntry>> Procfs::fds(base::Pid pid, FdDetail detail,
                                               std::optional<base::Tid> tid) const {
  auto table = open_table(*this, pid, tid);
  if (!table) return std::unexpected(table.error());
  // A second descriptor for the directory: closedir() closes the one it is given.
  const int copy = ::fcntl(table->links.get(), F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return base::system_error("dup", base::Errno::last());
  const std::unique_ptr<DIR, int (*)(DIR*)> directory{::fdopendir(copy), &::closedir};
  if (!directory) {
    const base::Errno code = base::Errno::last();
    ::close(copy);
    return base::system_error("open " + table->path, code);
  }
  std::vector<FdEntry> entries;
  while (const dirent* item = ::readdir(directory.get())) {
    const auto number = to_number<int>(item->d_name);
    if (!number) continue;
    // Closed since the directory was read: not an error.
    if (auto entry = read_entry(*table, item->d_name, *number))
      entries.push_back(std::move(*entry));
  }
  std::ranges::sort(entries, {}, &FdEntry::fd);
  if (detail == FdDetail::kSockets) resolve_sockets(entries);
  return entries;
}

base::Result<FdEntry> Procfs::fd(base::Pid pid, int fd, FdDetail detail,
                                 std::optional<base::Tid> tid) const {
  const auto table = open_table(*this, pid, tid);
  if (!table) return std::unexpected(table.error());
  auto entry = read_entry(*table, std::to_string(fd).c_str(), fd);
  if (entry && detail == FdDetail::kSockets && entry->resource.kind == ResourceKind::kOtherSocket) {
    std::vector<FdEntry> one{std::move(*entry)};
    resolve_sockets(one);
    return std::move(one.front());
  }
  return entry;
}

void resolve_sockets(std::vector<FdEntry>& entries) {
  const bool any = std::ranges::any_of(entries, [](const FdEntry& entry) {
    return entry.resource.kind == ResourceKind::kOtherSocket;
  });
  if (!any) return;
  const auto sockets = SocketTable::read();
  if (!sockets) return;
  for (FdEntry& entry : entries) {
    if (entry.resource.kind != ResourceKind::kOtherSocket) continue;
    if (const SocketInfo* socket = sockets->find(entry.resource.inode)) {
      entry.resource.kind = socket->kind;
    }
  }
}

}  // namespace stucktrace::kernel
