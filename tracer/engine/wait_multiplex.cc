// Waits on several descriptors: poll, select, epoll.

#include <fmt/format.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <bit>
#include <vector>

#include "tracer/engine/wait_context.h"

namespace stucktrace::engine {
namespace {

using model::FdEntry;
using model::FdMode;
using model::ResourceKind;
using model::Wait;
using model::WaitKind;
using syscalls::Sys;

// More descriptors than this are not looked at one by one; the rest is said to be unknown.
constexpr std::size_t kMaxWatched = 16384;
constexpr int kMaxEpollDepth = 5;  // the kernel's own limit, EP_MAX_NESTS

constexpr std::uint32_t kReadEvents = POLLIN | POLLPRI | POLLRDNORM | POLLRDBAND | EPOLLRDHUP;
constexpr std::uint32_t kWriteEvents = POLLOUT | POLLWRNORM | POLLWRBAND;

void add_fd(const WaitContext& context, int fd, std::uint32_t events, Wait& wait, int depth) {
  const auto entry = find_fd(context, fd);
  if (!entry) {
    wait.on.push_back(model::OnUnknown{fmt::format("watched descriptor {} is not open here", fd)});
    return;
  }
  const bool reads = (events & kReadEvents) != 0;
  const bool writes = (events & kWriteEvents) != 0;
  if (reads) add_readiness(context, *entry, FdMode::kRead, wait, depth);
  if (writes) add_readiness(context, *entry, FdMode::kWrite, wait, depth);
  // Errors and hang-ups are always reported (poll(2)): the end itself says whose.
  if (!reads && !writes) {
    const FdMode own_end = model::reads(entry->mode) ? FdMode::kRead : FdMode::kWrite;
    add_readiness(context, *entry, own_end, wait, depth);
  }
}

void add_pidfd(const WaitContext& context, const FdEntry& entry, Wait& wait) {
  const auto info = context.around.procfs.fdinfo(context.process.pid, entry.fd, context.tid);
  if (!info || !info->pidfd_pid) {
    wait.on.push_back(model::OnUnknown{"the process behind a pidfd"});
  } else if (*info->pidfd_pid > 0) {
    wait.on.push_back(model::OnTask{base::Pid{*info->pidfd_pid}});
  }
}

void add_timer(const WaitContext& context, const FdEntry& entry, Wait& wait) {
  const auto info = context.around.procfs.fdinfo(context.process.pid, entry.fd, context.tid);
  constexpr std::uint64_t kNever = static_cast<std::uint64_t>(INT64_MAX);
  if (info && info->timerfd_value_ns && *info->timerfd_value_ns != 0 &&
      *info->timerfd_value_ns <= kNever) {
    shorten_remaining(wait, base::Nanoseconds{static_cast<std::int64_t>(*info->timerfd_value_ns)});
  } else {
    // Disarmed: whoever has the descriptor would first have to set it.
    wait.on.push_back(model::OnUnknown{fmt::format("timer {} is not set", entry.fd)});
  }
}

// The number in an epoll set is the one at the time of EPOLL_CTL_ADD. It may have been closed and
// used for another file since, while a copy of the watched one lives on elsewhere (epoll(7)).
std::optional<FdEntry> watched_entry(const WaitContext& context,
                                     const kernel::FdInfo::EpollTarget& target) {
  const auto is_pathless = [](ResourceKind kind) {
    return kind == ResourceKind::kPipe || kind == ResourceKind::kUnixSocket ||
           kind == ResourceKind::kTcpSocket || kind == ResourceKind::kOtherSocket;
  };
  if (auto entry = find_fd(context, target.fd)) {
    if (is_pathless(entry->resource.kind)) {
      if (entry->resource.inode == target.inode) return entry;
    } else {
      const auto info = context.around.procfs.fdinfo(context.process.pid, target.fd, context.tid);
      if (info && (!info->inode || *info->inode == target.inode)) return entry;
    }
  }
  if (context.process.fds == nullptr) return std::nullopt;
  for (const FdEntry& entry : *context.process.fds) {
    if (is_pathless(entry.resource.kind) && entry.resource.inode == target.inode) return entry;
  }
  return std::nullopt;
}

void set_poll_timeout(const WaitContext& context, Wait& wait) {
  if (context.id == Sys::poll) {
    set_millisecond_timeout(wait, context.int_arg(2));
  } else {
    wait.timeout = read_time(context, context.pointer(2));
  }
}

// A mask for the time of the wait lets signals in that are blocked otherwise: for their handlers.
void add_signals_let_in(base::RemoteAddr mask, Wait& wait) {
  if (mask) wait.on.push_back(model::OnSignal{});
}

// One bit per descriptor, in words of 64.
std::vector<std::uint64_t> read_set(const WaitContext& context, base::RemoteAddr address,
                                    std::size_t descriptors, Wait& wait) {
  if (!address || descriptors == 0) return {};
  auto words = syscalls::read_fd_set(context.memory, address, context.layout(),
                                     static_cast<int>(descriptors));
  if (words.size() * 64 < descriptors) {
    wait.on.push_back(model::OnUnknown{"the descriptor set could not be read"});
  }
  return words;
}

}  // namespace

void add_readiness(const WaitContext& context, const FdEntry& entry, FdMode direction, Wait& wait,
                   int depth) {
  switch (entry.resource.kind) {
    case ResourceKind::kPipe:
    case ResourceKind::kFifo:
    case ResourceKind::kUnixSocket:
    case ResourceKind::kTcpSocket:
    case ResourceKind::kTty:
    case ResourceKind::kPtyMaster:
    case ResourceKind::kEventFd:
    case ResourceKind::kMessageQueue:
      wait.on.push_back(model::OnFd{entry.fd, entry.resource, direction});
      break;
    case ResourceKind::kTimerFd:
      add_timer(context, entry, wait);
      return;
    case ResourceKind::kSignalFd:
      wait.on.push_back(model::OnSignal{});
      return;
    case ResourceKind::kPidFd:
      add_pidfd(context, entry, wait);
      return;
    case ResourceKind::kEpoll:
      add_epoll_set(context, entry.fd, wait, depth + 1);
      return;
    default:
      break;
  }
  add_outside(context, entry, wait);
}

void add_epoll_set(const WaitContext& context, int epoll_fd, Wait& wait, int depth) {
  if (depth > kMaxEpollDepth) {
    wait.on.push_back(model::OnUnknown{"epoll sets nested too deep"});
    return;
  }
  const auto info = context.around.procfs.fdinfo(context.process.pid, epoll_fd, context.tid);
  if (!info) {
    wait.on.push_back(model::OnUnknown{"the epoll set could not be read"});
    return;
  }
  for (const auto& target : info->epoll) {
    if (wait.on.size() >= kMaxWatched) {
      wait.on.push_back(model::OnUnknown{"more descriptors are watched than were looked at"});
      return;
    }
    constexpr std::uint32_t kPrivateBits = EPOLLET | EPOLLONESHOT | EPOLLWAKEUP | EPOLLEXCLUSIVE;
    // A one-shot entry that has fired reports nothing until it is armed again.
    if ((target.events & ~kPrivateBits) == 0) continue;
    if (target.fd == epoll_fd) continue;
    const auto entry = watched_entry(context, target);
    if (!entry) {
      wait.on.push_back(model::OnUnknown{
          fmt::format("the epoll set watches a file that was descriptor {}", target.fd)});
      continue;
    }
    add_fd(context, entry->fd, target.events, wait, depth);
  }
}

Wait read_epoll(const WaitContext& context) {
  Wait wait;
  wait.kind = WaitKind::kMultiplex;
  add_epoll_set(context, context.int_arg(0), wait, 0);
  if (context.id != Sys::epoll_wait) add_signals_let_in(context.pointer(4), wait);
  if (context.id == Sys::epoll_pwait2) {
    wait.timeout = read_time(context, context.pointer(3));
  } else {
    set_millisecond_timeout(wait, context.int_arg(3));
  }
  if (wait.on.empty() && !wait.timeout) {
    wait.on.push_back(model::OnUnknown{"the epoll set is empty"});
  }
  return wait;
}

Wait read_poll(const WaitContext& context) {
  Wait wait;
  const std::uint64_t count = context.arg(1);
  wait.kind = count == 0 ? WaitKind::kSleep : WaitKind::kMultiplex;
  set_poll_timeout(context, wait);
  std::vector<pollfd> entries(std::min<std::size_t>(count, kMaxWatched));
  const std::size_t got =
      context.memory.read(context.pointer(0), std::as_writable_bytes(std::span{entries})) /
      sizeof(pollfd);
  for (const pollfd& entry : std::span{entries}.subspan(0, got)) {
    if (entry.fd < 0) continue;  // ignored by the kernel, poll(2)
    add_fd(context, entry.fd, static_cast<std::uint16_t>(entry.events), wait, 0);
  }
  if (got < count) {
    wait.on.push_back(model::OnUnknown{"not all of the polled descriptors could be read"});
  }
  if (context.id == Sys::ppoll) add_signals_let_in(context.pointer(3), wait);
  if (wait.on.empty() && !wait.timeout) wait.on.push_back(model::OnSignal{});
  return wait;
}

Wait read_select(const WaitContext& context) {
  Wait wait;
  const auto count = static_cast<std::size_t>(std::max(context.int_arg(0), 0));
  const std::size_t looked_at = std::min(count, kMaxWatched);
  constexpr std::size_t kBits = 64;
  wait.timeout =
      read_time(context, context.pointer(4),
                context.id == Sys::select ? TimeUnit::kMicroseconds : TimeUnit::kNanoseconds);
  constexpr std::array<std::uint32_t, 3> kMeaning = {POLLIN, POLLOUT, POLLPRI};
  for (std::size_t set = 0; set < kMeaning.size(); ++set) {
    const auto bits = read_set(context, context.pointer(1 + set), looked_at, wait);
    for (std::size_t word = 0; word < bits.size(); ++word) {
      for (std::uint64_t left = bits[word]; left != 0; left &= left - 1) {
        const std::size_t fd = word * kBits + static_cast<std::size_t>(std::countr_zero(left));
        if (fd < looked_at) add_fd(context, static_cast<int>(fd), kMeaning[set], wait, 0);
      }
    }
  }
  if (looked_at < count) {
    wait.on.push_back(model::OnUnknown{"more descriptors are watched than were looked at"});
  }
  wait.kind = wait.on.empty() ? WaitKind::kSleep : WaitKind::kMultiplex;
  if (context.id == Sys::pselect6) {
    // The sixth argument points to a mask's address and size (select(2)).
    std::uint64_t mask = 0;
    const base::RemoteAddr pair = context.pointer(5);
    if (pair && !context.layout().narrow_words && context.memory.read_value(pair, mask)) {
      add_signals_let_in(base::RemoteAddr{mask}, wait);
    }
  }
  if (wait.on.empty() && !wait.timeout) wait.on.push_back(model::OnSignal{});
  return wait;
}

}  // namespace stucktrace::engine
