#include "tracer/kernel/pipe_probe.h"

#include <fcntl.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>

#include <chrono>
#include <string>

#include "tracer/base/unique_fd.h"
#include "tracer/kernel/pidfd.h"

namespace stucktrace::kernel {
namespace {

using model::ResourceKind;

base::Result<base::UniqueFd> borrow(base::Pid pid, base::Tid tid, int fd) {
  if (const auto pidfd = open_pidfd(pid)) {
    if (auto copy = borrow_fd(*pidfd, fd)) return copy;
  }
  // A process whose main thread has ended has its table only through a live thread, and a thread
  // may have a table of its own (CLONE_FILES absent).
  const auto pidfd = open_thread_pidfd(tid);
  if (!pidfd) return std::unexpected(pidfd.error());
  return borrow_fd(*pidfd, fd);
}

// The number may have been closed and used again since it was seen.
bool is_expected(const base::UniqueFd& copy, const model::ResourceId& expected) {
  struct stat info{};
  if (::fstat(copy.get(), &info) != 0) return false;
  switch (expected.kind) {
    case ResourceKind::kPipe:
      return S_ISFIFO(info.st_mode) && info.st_ino == expected.inode;
    case ResourceKind::kUnixSocket:
    case ResourceKind::kTcpSocket:
    case ResourceKind::kOtherSocket:
      return S_ISSOCK(info.st_mode) && info.st_ino == expected.inode;
    case ResourceKind::kFifo:
    case ResourceKind::kMessageQueue:
      return info.st_ino == expected.inode && info.st_dev == expected.device;
    default:
      return true;  // no number of its own to compare (eventfd)
  }
}

void poll_ends(const base::UniqueFd& copy, EndState& state) {
  pollfd entry{.fd = copy.get(), .events = POLLIN | POLLOUT, .revents = 0};
  if (::poll(&entry, 1, 0) < 0) return;
  const auto is_set = [&](int bits) { return (entry.revents & bits) != 0; };
  state.writable = is_set(POLLOUT | POLLERR);
  state.readable = is_set(POLLIN | POLLHUP);
}

void count_messages(const base::UniqueFd& copy, EndState& state) {
  mq_attr attributes{};
  if (::mq_getattr(copy.get(), &attributes) != 0) return;
  state.capacity = static_cast<std::uint64_t>(attributes.mq_maxmsg);
  state.queued = static_cast<std::uint64_t>(attributes.mq_curmsgs);
}

void count_bytes(const base::UniqueFd& copy, ResourceKind kind, EndState& state) {
  int unread = 0;
  if (::ioctl(copy.get(), FIONREAD, &unread) == 0 && unread >= 0) {
    state.queued = static_cast<std::uint64_t>(unread);
  }
  if (kind != ResourceKind::kPipe && kind != ResourceKind::kFifo) return;
  const int capacity = ::fcntl(copy.get(), F_GETPIPE_SZ);
  if (capacity > 0) state.capacity = static_cast<std::uint64_t>(capacity);
}

EndState all_unknown(const std::string& because) {
  return {model::unknown(because), model::unknown(because), model::unknown(because),
          model::unknown(because)};
}

std::optional<base::Nanoseconds> limit_of(const base::UniqueFd& copy, int option) {
  timeval limit{};
  socklen_t size = sizeof limit;
  if (::getsockopt(copy.get(), SOL_SOCKET, option, &limit, &size) != 0) return std::nullopt;
  if (limit.tv_sec == 0 && limit.tv_usec == 0) return std::nullopt;
  return std::chrono::seconds{limit.tv_sec} + std::chrono::microseconds{limit.tv_usec};
}

}  // namespace

SocketLimits socket_limits(base::Pid pid, base::Tid tid, int fd,
                           const model::ResourceId& expected) {
  const auto copy = borrow(pid, tid, fd);
  if (!copy || !is_expected(*copy, expected)) return {};
  SocketLimits limits{limit_of(*copy, SO_RCVTIMEO), limit_of(*copy, SO_SNDTIMEO)};
  unsigned milliseconds = 0;
  socklen_t size = sizeof milliseconds;
  if (expected.kind == ResourceKind::kTcpSocket && !limits.send &&
      ::getsockopt(copy->get(), IPPROTO_TCP, TCP_USER_TIMEOUT, &milliseconds, &size) == 0 &&
      milliseconds > 0) {
    limits.send = std::chrono::milliseconds{milliseconds};
  }
  return limits;
}

EndState probe_end(base::Pid pid, base::Tid tid, int fd, const model::ResourceId& expected) {
  const auto copy = borrow(pid, tid, fd);
  if (!copy) {
    const bool denied = copy.error().kind == base::ErrorKind::kDenied;
    return all_unknown(denied ? "no permission to copy the descriptor" : copy.error().message());
  }
  if (!is_expected(*copy, expected)) return all_unknown("the descriptor was closed meanwhile");
  EndState state = all_unknown("the kernel does not tell");
  poll_ends(*copy, state);
  if (expected.kind == ResourceKind::kMessageQueue) {
    count_messages(*copy, state);
  } else {
    count_bytes(*copy, expected.kind, state);
  }
  return state;
}

}  // namespace stucktrace::kernel
