// Waits on one descriptor: read, write, splice, accept, connect, open of a fifo.

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <charconv>

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

// /dev/null, /dev/zero and their like (mem(4)): ready for everything at any time.
bool is_memory_device(const WaitContext& context, int fd) {
  constexpr unsigned kMemoryMajor = 1;
  constexpr std::array<unsigned, 4> kAlwaysReady = {3, 5, 7, 9};  // null zero full urandom
  const std::string path = context.around.procfs.path(
      fmt::format("{}/task/{}/fd/{}", context.process.pid, context.tid, fd));
  struct statx info{};
  if (::statx(AT_FDCWD, path.c_str(), AT_STATX_DONT_SYNC, STATX_TYPE, &info) != 0) return false;
  return S_ISCHR(info.stx_mode) && info.stx_rdev_major == kMemoryMajor &&
         std::ranges::find(kAlwaysReady, info.stx_rdev_minor) != kAlwaysReady.end();
}

bool can_block(const WaitContext& context, const FdEntry& entry) {
  switch (entry.resource.kind) {
    case ResourceKind::kRegularFile:
    case ResourceKind::kDirectory:
    case ResourceKind::kMemFd:
    case ResourceKind::kBlockDevice:
      return false;
    case ResourceKind::kCharDevice:
      return !is_memory_device(context, entry.fd);
    default:
      return true;
  }
}

// A path as the thread means it, below its root or working directory, for stat(2).
std::string path_of(const WaitContext& context, const std::string& path) {
  const std::string_view start = path.starts_with('/') ? "root" : "cwd/";
  return context.around.procfs.path(
      fmt::format("{}/task/{}/{}{}", context.process.pid, context.tid, start, path));
}

// connect(2) looks for the socket bound to the file at the path. Names of listeners are as those
// gave them: each may mean another file.
std::vector<const kernel::SocketInfo*> listeners_at(const WaitContext& context,
                                                    const std::string& path) {
  struct statx info{};
  if (::statx(AT_FDCWD, path_of(context, path).c_str(), AT_STATX_DONT_SYNC, STATX_INO, &info) !=
      0) {
    return {};
  }
  return context.around.sockets->find_listeners_at(makedev(info.stx_dev_major, info.stx_dev_minor),
                                                   info.stx_ino, path);
}

// Who listens where connect(2) is to go, as far as that is this machine; empty = not known.
std::vector<const kernel::SocketInfo*> wanted_listeners(const WaitContext& context,
                                                        const FdEntry& entry) {
  const kernel::SocketTable* sockets = context.around.sockets;
  if (sockets == nullptr) return {};
  std::array<std::byte, sizeof(sockaddr_un)> raw{};
  const std::size_t length = std::min<std::size_t>(context.arg(2), raw.size());
  const std::size_t got =
      context.memory.read(context.pointer(1), std::span{raw}.subspan(0, length));
  const std::string wanted = kernel::address_text(std::span{raw}.subspan(0, got));
  if (wanted.empty()) return {};
  const kernel::SocketInfo* own = sockets->find(entry.resource.inode);
  const bool by_path = entry.resource.kind == ResourceKind::kUnixSocket && wanted.front() != '@';
  if (by_path) return listeners_at(context, wanted);
  if (entry.resource.kind == ResourceKind::kTcpSocket) {
    // To an address of this machine the way is from that same address (or within loopback).
    const auto host = [](const std::string& endpoint) {
      return std::string_view{endpoint}.substr(0, endpoint.rfind(':'));
    };
    const bool local =
        own != nullptr &&
        (kernel::is_loopback(wanted) || (!own->local.empty() && host(own->local) == host(wanted)));
    if (!local) return {};
  }
  return sockets->find_listeners(entry.resource.kind, wanted, own != nullptr ? own->network : 0);
}

// An unanswered connection request is repeated, at once a second and then ever more slowly, and
// given up in the end (tcp(7), tcp_syn_retries).
base::Nanoseconds connect_patience(const kernel::Procfs& procfs) {
  const auto setting = [&procfs](const char* name, int otherwise) {
    const auto text = procfs.text(std::string{"sys/net/ipv4/"} + name, 16);
    int value = otherwise;
    if (text) std::from_chars(text->data(), text->data() + text->size(), value);
    return std::clamp(value, 0, 127);
  };
  const int retries = setting("tcp_syn_retries", 6);
  const int linear = setting("tcp_syn_linear_timeouts", 4);
  constexpr int kSlowest = 120;  // TCP_RTO_MAX, seconds
  std::int64_t seconds = linear;
  for (int i = 0; i <= retries; ++i) seconds += i < 7 ? 1 << i : kSlowest;
  return std::chrono::seconds{seconds};
}

void set_socket_timeout(const WaitContext& context, const FdEntry& entry, FdMode direction,
                        Wait& wait) {
  const ResourceKind kind = entry.resource.kind;
  if (kind != ResourceKind::kUnixSocket && kind != ResourceKind::kTcpSocket &&
      kind != ResourceKind::kOtherSocket) {
    return;
  }
  const kernel::SocketLimits limits = context.around.probes.socket_limits(
      context.process.pid, context.tid, entry.fd, entry.resource);
  const auto& limit = direction == FdMode::kWrite ? limits.send : limits.receive;
  if (limit && (!wait.timeout || *limit < *wait.timeout)) wait.timeout = limit;
}

// An address with the data (sendto(2)): it need not be that of the socket's peer.
bool names_receiver(const WaitContext& context) {
  if (context.id == Sys::sendto) return context.arg(4) != 0;
  if (context.id != Sys::sendmsg) return false;
  std::uint64_t name = 0;  // first field of struct msghdr, 4 bytes in a 32-bit program
  std::uint32_t narrow = 0;
  if (!context.layout().narrow_words) {
    return context.memory.read_value(context.pointer(1), name) && name != 0;
  }
  return context.memory.read_value(context.pointer(1), narrow) && narrow != 0;
}

bool is_stream(const WaitContext& context, const FdEntry& entry) {
  const auto* sockets = context.around.sockets;
  const auto* socket = sockets != nullptr ? sockets->find(entry.resource.inode) : nullptr;
  return socket == nullptr || socket->stream;
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
  set_socket_timeout(context, *entry, direction, wait);
  if (direction == FdMode::kWrite && names_receiver(context) && !is_stream(context, *entry)) {
    wait.on.push_back(model::OnUnknown{"the receiver that the call names"});
  }
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
    if (!can_block(context, *entry)) continue;
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
  if (entry->resource.kind == ResourceKind::kTcpSocket) {
    wait.timeout = connect_patience(context.around.procfs);
  }
  set_socket_timeout(context, *entry, FdMode::kWrite, wait);
  wait.on.push_back(model::OnFd{fd, entry->resource, FdMode::kWrite});
  // The socket has no peer yet; who accepts on the address it asks for can end the wait.
  const auto listeners = wanted_listeners(context, *entry);
  if (!listeners.empty()) {
    auto& inodes = context.around.notes.listeners[entry->resource];
    inodes.clear();
    for (const auto* listener : listeners) inodes.push_back(listener->inode);
    return wait;
  }
  const auto* sockets = context.around.sockets;
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
