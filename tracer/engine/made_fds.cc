#include "tracer/engine/made_fds.h"

#include <sys/socket.h>

#include <array>
#include <optional>

#include "syscalls/io.h"

namespace stucktrace::engine {
namespace {

using model::FdEntry;
using model::ResourceKind;
using syscalls::Sys;

ResourceKind socket_kind(std::uint64_t domain, std::uint64_t type) {
  constexpr std::uint64_t kTypeMask = 0xf;  // without SOCK_CLOEXEC, SOCK_NONBLOCK
  if (domain == AF_UNIX) return ResourceKind::kUnixSocket;
  if ((domain == AF_INET || domain == AF_INET6) && (type & kTypeMask) == SOCK_STREAM) {
    return ResourceKind::kTcpSocket;
  }
  return ResourceKind::kOtherSocket;
}

// pipe(2) and socketpair(2) write their two descriptors to memory.
std::vector<int> read_pair(std::uint64_t address, const syscalls::RemoteMemory& memory) {
  std::array<std::int32_t, 2> pair{};
  if (!memory.read_value(base::RemoteAddr{address}, pair)) return {};
  return {pair.begin(), pair.end()};
}

}  // namespace

std::vector<FdEntry> made_fds(const kernel::Procfs& procfs, base::Pid pid,
                              const syscalls::RawCall& call, const syscalls::RawResult& result,
                              const syscalls::RemoteMemory& memory, const model::FdTracker& known,
                              DupLookup dups) {
  if (result.is_error) return {};
  std::vector<int> fds;
  ResourceKind kind = ResourceKind::kUnknown;  // where the call tells more than the link text
  switch (syscalls::sys_of(call.abi, call.number)) {
    case Sys::pipe:
    case Sys::pipe2:
      fds = read_pair(call.args[0], memory);
      break;
    case Sys::socketpair:
      fds = read_pair(call.args[3], memory);
      kind = socket_kind(call.args[0], call.args[1]);
      break;
    case Sys::socket:
      fds = {static_cast<int>(result.value)};
      kind = socket_kind(call.args[0], call.args[1]);
      break;
    case Sys::accept:
    case Sys::accept4:
      fds = {static_cast<int>(result.value)};
      if (const FdEntry* listener = known.find(pid, static_cast<int>(call.args[0]))) {
        kind = listener->resource.kind;
      }
      break;
    case Sys::open:
    case Sys::openat:
    case Sys::openat2:
    case Sys::creat:
    case Sys::eventfd:
    case Sys::eventfd2:
    case Sys::timerfd_create:
    case Sys::signalfd:
    case Sys::signalfd4:
    case Sys::epoll_create:
    case Sys::epoll_create1:
    case Sys::inotify_init:
    case Sys::inotify_init1:
    case Sys::pidfd_open:
    case Sys::pidfd_getfd:
    case Sys::memfd_create:
    case Sys::mq_open:
    case Sys::io_uring_setup:
    case Sys::userfaultfd:
    case Sys::perf_event_open:
    case Sys::fanotify_init:
      fds = {static_cast<int>(result.value)};
      break;
    case Sys::dup:
    case Sys::dup2:
    case Sys::dup3:
      if (dups == DupLookup::kRead) fds = {static_cast<int>(result.value)};
      break;
    default:
      break;
  }
  std::vector<FdEntry> entries;
  for (const int fd : fds) {
    auto entry = procfs.fd(pid, fd, kernel::FdDetail::kLinks);
    if (!entry) continue;
    if (kind != ResourceKind::kUnknown) entry->resource.kind = kind;
    entries.push_back(std::move(*entry));
  }
  return entries;
}

std::vector<FdEntry> descriptors_of(const kernel::Procfs& procfs, base::Pid pid, base::Tid tid,
                                    const syscalls::RawCall& call,
                                    const syscalls::RemoteMemory& memory) {
  constexpr std::size_t kMost = 8;
  constexpr int kLastStandard = 2;
  std::vector<int> fds;
  const Sys id = syscalls::sys_of(call.abi, call.number);
  if (const std::optional<int> fd = syscalls::io_fd(call)) {
    if (*fd > kLastStandard || !syscalls::is_write_like(id)) fds.push_back(*fd);
  } else {
    for (const syscalls::PolledFd& polled : syscalls::polled_fds(call, memory)) {
      if (fds.size() < kMost) fds.push_back(polled.fd);
    }
  }
  std::vector<FdEntry> entries;
  for (const int fd : fds) {
    if (auto entry = procfs.fd(pid, fd, kernel::FdDetail::kLinks, tid)) {
      entries.push_back(std::move(*entry));
    }
  }
  return entries;
}

}  // namespace stucktrace::engine
