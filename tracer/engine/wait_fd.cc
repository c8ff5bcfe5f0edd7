// Waits on one descriptor: read, write, splice, accept, connect, open of a fifo.

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "tracer/engine/wait_context.h"

namespace stucktrace::engine {
namespace {

using model::FdEntry;
using model::FdMode;
using model::ResourceKind;
using model::Wait;
using model::WaitKind;
using syscalls::Sys;

WaitKind kind_of(ResourceKind resource, FdMode direction) {
  const bool reading = direction == FdMode::kRead;
  switch (resource) {
    case ResourceKind::kPipe:
    case ResourceKind::kFifo:
      return reading ? WaitKind::kPipeRead : WaitKind::kPipeWrite;
    case ResourceKind::kUnixSocket:
      return reading ? WaitKind::kUnixRead : WaitKind::kUnixWrite;
    case ResourceKind::kTcpSocket:
      return reading ? WaitKind::kTcpRead : WaitKind::kTcpWrite;
    case ResourceKind::kTty:
    case ResourceKind::kPtyMaster:
      return reading ? WaitKind::kTtyRead : WaitKind::kTtyWrite;
    case ResourceKind::kEventFd:
      return WaitKind::kEventFd;
    case ResourceKind::kTimerFd:
      return WaitKind::kSleep;
    case ResourceKind::kSignalFd:
      return WaitKind::kSignalWait;
    case ResourceKind::kMessageQueue:
      return WaitKind::kMsgQueue;
    case ResourceKind::kRegularFile:
    case ResourceKind::kDirectory:
    case ResourceKind::kBlockDevice:
    case ResourceKind::kMemFd:
      return WaitKind::kDisk;
    default:
      return WaitKind::kOther;
  }
}

std::string fd_missing(const WaitContext& context, int fd) {
  if (context.process.fds == nullptr) return "the process's descriptors could not be read";
  return fmt::format("descriptor {} is not open any more", fd);
}

bool can_block(ResourceKind kind) {
  return kind != ResourceKind::kRegularFile && kind != ResourceKind::kDirectory &&
         kind != ResourceKind::kMemFd && kind != ResourceKind::kBlockDevice;
}

// The address argument of connect(2) in sock_diag's words; "" for families without a local peer.
std::string address_text(const WaitContext& context) {
  std::array<std::byte, sizeof(sockaddr_un)> raw{};
  const std::size_t length = std::min<std::size_t>(context.arg(2), raw.size());
  const std::size_t got =
      context.memory.read(context.pointer(1), std::span{raw}.subspan(0, length));
  sockaddr_un address{};
  std::memcpy(&address, raw.data(), got);
  constexpr std::size_t kPath = offsetof(sockaddr_un, sun_path);
  if (got <= kPath || address.sun_family != AF_UNIX) return {};
  const std::string_view path{&address.sun_path[0], got - kPath};
  if (path.front() == '\0') return "@" + std::string{path.substr(1)};
  return std::string{path.substr(0, path.find('\0'))};
}

struct OpenRequest {
  std::string path;  // below /proc, ready to be stat'ed
  std::string shown;
  FdMode mode = FdMode::kRead;
};

std::string read_path(const WaitContext& context, base::RemoteAddr address) {
  std::array<char, 4096> buffer{};
  const std::size_t got = context.memory.read(address, std::as_writable_bytes(std::span{buffer}));
  const std::string_view text{buffer.data(), got};
  const std::size_t end = text.find('\0');
  return end == std::string_view::npos ? std::string{} : std::string{text.substr(0, end)};
}

std::optional<OpenRequest> open_request(const WaitContext& context) {
  const bool at = context.id == Sys::openat || context.id == Sys::openat2;
  const std::size_t path_index = at ? 1 : 0;
  std::uint64_t flags = context.arg(path_index + 1);
  if (context.id == Sys::creat) flags = O_WRONLY;
  if (context.id == Sys::openat2 && !context.memory.read_value(context.pointer(2), flags)) {
    return std::nullopt;
  }
  OpenRequest request;
  request.shown = read_path(context, context.pointer(path_index));
  if (request.shown.empty()) return std::nullopt;
  const int directory = at ? context.int_arg(0) : AT_FDCWD;
  std::string start = fmt::format("{}/task/{}/", context.process.pid, context.tid);
  if (request.shown.starts_with('/')) {
    start += "root";
  } else if (directory == AT_FDCWD) {
    start += "cwd/";
  } else {
    start += fmt::format("fd/{}/", directory);
  }
  request.path = context.around.procfs.path(start + request.shown);
  const std::uint64_t access = flags & O_ACCMODE;
  request.mode = access == O_RDONLY   ? FdMode::kRead
                 : access == O_WRONLY ? FdMode::kWrite
                                      : FdMode::kBoth;
  return request;
}

}  // namespace

std::optional<FdEntry> find_fd(const WaitContext& context, int fd) {
  if (context.process.fds != nullptr) {
    const auto at = std::ranges::lower_bound(*context.process.fds, fd, {}, &FdEntry::fd);
    if (at != context.process.fds->end() && at->fd == fd) return *at;
  }
  // Opened since the table was read.
  auto entry =
      context.around.procfs.fd(context.process.pid, fd, kernel::FdDetail::kLinks, context.tid);
  if (!entry) return std::nullopt;
  if (entry->resource.kind == ResourceKind::kOtherSocket && context.around.sockets != nullptr) {
    const auto* socket = context.around.sockets->find(entry->resource.inode);
    if (socket != nullptr) entry->resource.kind = socket->kind;
  }
  return std::move(*entry);
}

void add_outside(const WaitContext& context, const FdEntry& entry, Wait& wait) {
  const auto* sockets = context.around.sockets;
  const auto* socket = sockets != nullptr ? sockets->find(entry.resource.inode) : nullptr;
  switch (entry.resource.kind) {
    case ResourceKind::kUnixSocket:
    case ResourceKind::kTcpSocket:
      if (socket == nullptr) {
        wait.on.push_back(model::OnUnknown{"the socket's peer could not be asked for"});
      } else if (socket->listening) {
        wait.on.push_back(model::OnOutside{"a new client"});
      } else if (socket->peer_outside) {
        wait.on.push_back(model::OnOutside{socket->remote});
      } else if (!socket->stream && !socket->peer) {
        wait.on.push_back(model::OnOutside{"any sender"});
      }
      break;
    case ResourceKind::kOtherSocket:
      wait.on.push_back(model::OnOutside{"network or kernel"});
      break;
    case ResourceKind::kInotify:
      wait.on.push_back(model::OnOutside{"file changes"});
      break;
    case ResourceKind::kCharDevice:
      wait.on.push_back(model::OnOutside{"device " + entry.label});
      break;
    case ResourceKind::kRegularFile:
    case ResourceKind::kDirectory:
    case ResourceKind::kBlockDevice:
    case ResourceKind::kMemFd:
      wait.on.push_back(model::OnOutside{"disk"});
      break;
    case ResourceKind::kIoUring:
    case ResourceKind::kOtherAnon:
    case ResourceKind::kUnknown:
      wait.on.push_back(model::OnUnknown{fmt::format("what ends a wait on {}", entry.label)});
      break;
    default:
      break;
  }
}

Wait read_fd_call(const WaitContext& context, int fd, FdMode direction) {
  const auto entry = find_fd(context, fd);
  if (!entry) return unknown_wait(WaitKind::kOther, fd_missing(context, fd));
  Wait wait;
  add_readiness(context, *entry, direction, wait);
  wait.kind = kind_of(entry->resource.kind, direction);
  return wait;
}

Wait read_splice(const WaitContext& context, int from, int to) {
  Wait wait;
  for (const auto& [fd, direction] : {std::pair{from, FdMode::kRead}, {to, FdMode::kWrite}}) {
    const auto entry = find_fd(context, fd);
    if (!entry) {
      wait.on.push_back(model::OnUnknown{fd_missing(context, fd)});
      continue;
    }
    if (!can_block(entry->resource.kind)) continue;
    add_readiness(context, *entry, direction, wait);
    // Empty source or full sink: the function slept in is the only sign of which it is.
    const bool sink_named = context.thread.wchan.find("write") != std::string::npos;
    if (wait.kind == WaitKind::kOther || (direction == FdMode::kWrite && sink_named)) {
      wait.kind = kind_of(entry->resource.kind, direction);
    }
  }
  if (wait.on.empty()) wait.on.push_back(model::OnOutside{"disk"});
  return wait;
}

Wait read_accept(const WaitContext& context) {
  Wait wait = read_fd_call(context, context.int_arg(0), FdMode::kRead);
  wait.kind = WaitKind::kAccept;
  return wait;
}

Wait read_connect(const WaitContext& context) {
  const int fd = context.int_arg(0);
  const auto entry = find_fd(context, fd);
  if (!entry) return unknown_wait(WaitKind::kConnect, fd_missing(context, fd));
  Wait wait;
  wait.kind = WaitKind::kConnect;
  const auto* sockets = context.around.sockets;
  if (entry->resource.kind == ResourceKind::kUnixSocket && sockets != nullptr) {
    // The socket has no peer yet; who accepts on the name it asks for can end the wait.
    const auto* listener = sockets->find_listener(ResourceKind::kUnixSocket, address_text(context));
    if (listener != nullptr) {
      context.around.notes.peers[entry->resource] = {ResourceKind::kUnixSocket, 0, listener->inode,
                                                     0};
      wait.on.push_back(model::OnFd{fd, entry->resource, FdMode::kWrite});
      return wait;
    }
  }
  wait.on.push_back(model::OnFd{fd, entry->resource, FdMode::kWrite});
  const auto* socket = sockets != nullptr ? sockets->find(entry->resource.inode) : nullptr;
  wait.on.push_back(model::OnOutside{
      socket != nullptr && !socket->remote.empty() ? socket->remote : std::string{"the peer"}});
  return wait;
}

Wait read_open(const WaitContext& context) {
  const auto request = open_request(context);
  if (!request) return unknown_wait(WaitKind::kOther, "the path could not be read");
  // Looked at, never opened: opening a fifo would wake who waits for its other end.
  struct statx info{};
  constexpr unsigned kMask = STATX_TYPE | STATX_INO;
  if (::statx(AT_FDCWD, request->path.c_str(), AT_STATX_DONT_SYNC, kMask, &info) != 0) {
    return unknown_wait(WaitKind::kOther, fmt::format("opens {}", request->shown));
  }
  Wait wait;
  if (!S_ISFIFO(info.stx_mode)) {
    wait.kind = WaitKind::kDisk;
    wait.on.push_back(model::OnOutside{"opening a file"});
    return wait;
  }
  wait.kind = WaitKind::kFifoOpen;
  const model::ResourceId id{ResourceKind::kFifo, makedev(info.stx_dev_major, info.stx_dev_minor),
                             info.stx_ino, 0};
  context.around.notes.labels[id] = request->shown;
  wait.on.push_back(model::OnFd{-1, id, request->mode});
  return wait;
}

}  // namespace stucktrace::engine
