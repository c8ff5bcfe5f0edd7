#include "syscalls/io.h"

#include <algorithm>
#include <array>
#include <limits>

#include "syscalls/decode_parts.h"

namespace stucktrace::syscalls {
namespace {

constexpr int kClockRealtime = 0;
constexpr int kClockMonotonic = 1;
constexpr int kTimerAbstime = 1;
constexpr int kWnohang = 1;
constexpr int kLockNb = 4;
constexpr int kSetLk = 6;
constexpr int kSetLk64 = 13;  // of a 32-bit call
constexpr int kOfdSetLk = 37;
constexpr int kMsgDontwait = 0x40;
constexpr int kIpcNowait = 04000;
constexpr int kRwfNowait = 8;
constexpr int kSpliceNonblock = 2;
constexpr int kFutexLockPi = 6;
constexpr int kFutexTrylockPi = 8;

// linux/poll.h (asm-generic)
constexpr unsigned kPollRead = 0x0001 | 0x0002 | 0x0040 | 0x0080 | 0x2000;
constexpr unsigned kPollWrite = 0x0004 | 0x0100 | 0x0200;

std::uint32_t low(std::uint64_t raw) {
  return static_cast<std::uint32_t>(raw);
}
int as_int(std::uint64_t raw) {
  return static_cast<int>(raw);
}

// Saturates; what the kernel refuses (negative) counts as no time at all.
base::Nanoseconds to_nanoseconds(const KernelTimespec& time, std::int64_t unit) {
  constexpr std::int64_t kSecond = 1'000'000'000;
  constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
  if (time.seconds < 0 || time.fraction < 0) return base::Nanoseconds{0};
  std::int64_t seconds = 0;
  std::int64_t fraction = 0;
  std::int64_t sum = 0;
  if (__builtin_mul_overflow(time.seconds, kSecond, &seconds) ||
      __builtin_mul_overflow(time.fraction, unit, &fraction) ||
      __builtin_add_overflow(seconds, fraction, &sum)) {
    return base::Nanoseconds{kMax};
  }
  return base::Nanoseconds{sum};
}

// A pointer to a timespec or timeval; null is forever.
std::optional<CallTimeout> pointed_timeout(const RawCall& call, const RemoteMemory& memory,
                                           std::size_t index,
                                           std::optional<int> absolute_clock = std::nullopt,
                                           std::int64_t unit = 1) {
  const base::RemoteAddr address{call.args[index]};
  if (address.value() == 0) return CallTimeout{};
  KernelTimespec time;
  if (!read_wire(memory, address, layout_of(call), time)) return std::nullopt;
  return CallTimeout{to_nanoseconds(time, unit), absolute_clock};
}

CallTimeout milliseconds_timeout(std::uint64_t raw) {
  const int timeout = as_int(raw);
  if (timeout < 0) return {};
  return {std::chrono::milliseconds{timeout}, std::nullopt};
}

std::optional<CallTimeout> futex_timeout(const RawCall& call, const RemoteMemory& memory) {
  const int operation = as_int(call.args[1]);
  if (!futex_takes_timeout(operation)) return std::nullopt;
  std::optional<int> clock;
  if (futex_timeout_is_absolute(operation)) {
    // FUTEX_LOCK_PI measures by the realtime clock without being told (futex(2)).
    const bool realtime =
        (operation & kFutexClockRealtime) != 0 || (operation & kFutexCommandMask) == kFutexLockPi;
    clock = realtime ? kClockRealtime : kClockMonotonic;
  }
  return pointed_timeout(call, memory, 3, clock);
}

bool has_zero_timeout(const RawCall& call, const RemoteMemory& memory) {
  const auto timeout = call_timeout(call, memory);
  return timeout && !timeout->absolute_clock && timeout->value == base::Nanoseconds{0};
}

bool in_set(const std::vector<std::uint64_t>& words, int fd) {
  const auto at = static_cast<std::size_t>(fd) / 64;
  return at < words.size() && (words[at] >> (fd % 64) & 1U) != 0;
}

std::vector<PolledFd> selected_fds(const RawCall& call, const RemoteMemory& memory) {
  std::vector<PolledFd> out;
  const int bits = as_int(call.args[0]);
  if (bits <= 0) return out;
  const auto set = [&](std::size_t index) {
    return read_fd_set(memory, base::RemoteAddr{call.args[index]}, layout_of(call), bits);
  };
  const auto readable = set(1);
  const auto writable = set(2);
  const auto special = set(3);
  const std::size_t words = std::max({readable.size(), writable.size(), special.size()});
  for (int fd = 0; fd < bits && static_cast<std::size_t>(fd) < words * 64; ++fd) {
    const PolledFd entry{fd, in_set(readable, fd) || in_set(special, fd), in_set(writable, fd)};
    if (entry.read || entry.write) out.push_back(entry);
  }
  return out;
}

std::vector<PolledFd> pollfds(const RawCall& call, const RemoteMemory& memory) {
  std::vector<PolledFd> out;
  for (const KernelPollfd& item :
       read_wire_array<KernelPollfd>(memory, base::RemoteAddr{call.args[0]}, low(call.args[1]),
                                     kMaxVector, layout_of(call))) {
    if (item.fd < 0) continue;
    const bool write = (item.events & kPollWrite) != 0;
    // Without any event the wait is still for errors and hang-ups.
    out.push_back({item.fd, (item.events & kPollRead) != 0 || !write, write});
  }
  return out;
}

// Appends at most `left` bytes of a buffer; false where it could not be read to its end: what
// follows would be glued to the wrong place.
bool append_bytes(const RemoteMemory& memory, std::uint64_t address, std::uint64_t size,
                  std::uint64_t& left, std::string& out) {
  const std::uint64_t room = kMaxBuffer - out.size();
  const auto wanted = static_cast<std::size_t>(std::min({size, left, room}));
  const std::size_t before = out.size();
  out.resize(before + wanted);
  const std::size_t got = memory.read(
      base::RemoteAddr{address}, std::as_writable_bytes(std::span{out}.subspan(before, wanted)));
  out.resize(before + got);
  left -= got;
  return got == wanted && wanted == std::min(size, left + got);
}

bool append_vector(const RemoteMemory& memory, const Layout& layout, std::uint64_t address,
                   std::uint64_t count, std::uint64_t& left, std::string& out) {
  for (const KernelIovec& item :
       read_wire_array<KernelIovec>(memory, base::RemoteAddr{address}, count, kMaxVector, layout)) {
    if (left == 0) return true;
    if (!append_bytes(memory, item.base, item.length, left, out)) return false;
  }
  return true;
}

}  // namespace

bool is_write_like(Sys id) {
  switch (id) {
    case Sys::write:
    case Sys::pwrite64:
    case Sys::writev:
    case Sys::pwritev:
    case Sys::pwritev2:
    case Sys::sendto:
    case Sys::sendmsg:
    case Sys::sendmmsg:
    case Sys::sendfile:
    case Sys::splice:
    case Sys::tee:
    case Sys::vmsplice:
    case Sys::copy_file_range:
    case Sys::mq_timedsend:
    case Sys::msgsnd:
      return true;
    default:
      return false;
  }
}

bool is_read_like(Sys id) {
  switch (id) {
    case Sys::read:
    case Sys::pread64:
    case Sys::readv:
    case Sys::preadv:
    case Sys::preadv2:
    case Sys::recvfrom:
    case Sys::recvmsg:
    case Sys::recvmmsg:
    case Sys::accept:
    case Sys::accept4:
    case Sys::sendfile:
    case Sys::splice:
    case Sys::tee:
    case Sys::copy_file_range:
    case Sys::mq_timedreceive:
    case Sys::msgrcv:
      return true;
    default:
      return false;
  }
}

std::optional<int> io_fd(const RawCall& call) {
  const SyscallRow* row = find_row(call.abi, call.number);
  if (row == nullptr || row->arg_count == 0 || row->args[0].kind != ArgKind::kFd) {
    return std::nullopt;
  }
  const int fd = as_int(call.args[0]);
  if (fd < 0) return std::nullopt;
  return fd;
}

std::vector<PolledFd> io_fds(const RawCall& call) {
  const Sys id = sys_of(call.abi, call.number);
  std::vector<PolledFd> out;
  const auto add = [&](std::uint64_t raw, bool read, bool write) {
    if (as_int(raw) >= 0) out.push_back({as_int(raw), read, write});
  };
  switch (id) {
    case Sys::sendfile:
      add(call.args[1], true, false);
      add(call.args[0], false, true);
      break;
    case Sys::tee:
      add(call.args[0], true, false);
      add(call.args[1], false, true);
      break;
    case Sys::splice:
    case Sys::copy_file_range:
      add(call.args[0], true, false);
      add(call.args[2], false, true);
      break;
    case Sys::msgsnd:  // the first argument is a queue, not a descriptor
    case Sys::msgrcv:
      break;
    default:
      if (is_read_like(id) || is_write_like(id)) {
        add(call.args[0], is_read_like(id), is_write_like(id));
      }
      break;
  }
  return out;
}

std::vector<PolledFd> polled_fds(const RawCall& call, const RemoteMemory& memory) {
  switch (sys_of(call.abi, call.number)) {
    case Sys::poll:
    case Sys::ppoll:
      return pollfds(call, memory);
    case Sys::select:
    case Sys::pselect6:
      return selected_fds(call, memory);
    default:
      return {};
  }
}

std::optional<CallTimeout> call_timeout(const RawCall& call, const RemoteMemory& memory) {
  const auto& args = call.args;
  constexpr std::int64_t kMicroseconds = 1000;
  switch (sys_of(call.abi, call.number)) {
    case Sys::poll:
      return milliseconds_timeout(args[2]);
    case Sys::epoll_wait:
    case Sys::epoll_pwait:
      return milliseconds_timeout(args[3]);
    case Sys::select:
      return pointed_timeout(call, memory, 4, std::nullopt, kMicroseconds);
    case Sys::ppoll:
    case Sys::rt_sigtimedwait:
      return pointed_timeout(call, memory, 2);
    case Sys::epoll_pwait2:
    case Sys::semtimedop:
      return pointed_timeout(call, memory, 3);
    case Sys::pselect6:
    case Sys::recvmmsg:
    case Sys::io_getevents:
    case Sys::io_pgetevents:
      return pointed_timeout(call, memory, 4);
    case Sys::nanosleep:
      return args[0] == 0 ? std::nullopt : pointed_timeout(call, memory, 0);
    case Sys::clock_nanosleep: {
      if (args[2] == 0) return std::nullopt;
      const bool absolute = (as_int(args[1]) & kTimerAbstime) != 0;
      return pointed_timeout(call, memory, 2,
                             absolute ? std::optional{as_int(args[0])} : std::nullopt);
    }
    case Sys::futex:
      return futex_timeout(call, memory);
    case Sys::futex_wait:
      return pointed_timeout(call, memory, 4, as_int(args[5]));
    case Sys::futex_waitv:
      return pointed_timeout(call, memory, 3, as_int(args[4]));
    case Sys::mq_timedsend:
    case Sys::mq_timedreceive:
      return pointed_timeout(call, memory, 4, kClockRealtime);
    default:
      return std::nullopt;
  }
}

bool is_nonblocking_probe(const RawCall& call, const RemoteMemory& memory) {
  const auto& args = call.args;
  const auto has = [&](std::size_t index, int bit) { return (as_int(args[index]) & bit) != 0; };
  switch (sys_of(call.abi, call.number)) {
    case Sys::wait4:
      return has(2, kWnohang);
    case Sys::waitid:
      return has(3, kWnohang);
    case Sys::poll:
    case Sys::ppoll:
    case Sys::select:
    case Sys::pselect6:
    case Sys::epoll_wait:
    case Sys::epoll_pwait:
    case Sys::epoll_pwait2:
    case Sys::rt_sigtimedwait:
    case Sys::semtimedop: {
      if (has_zero_timeout(call, memory)) return true;
      if (sys_of(call.abi, call.number) != Sys::semtimedop) return false;
      [[fallthrough]];
    }
    case Sys::semop: {
      const auto operations = read_wire_array<KernelSembuf>(
          memory, base::RemoteAddr{args[1]}, low(args[2]), kMaxSembufs, layout_of(call));
      return std::any_of(operations.begin(), operations.end(), [](const KernelSembuf& operation) {
        return (operation.flags & kIpcNowait) != 0;
      });
    }
    case Sys::flock:
      return has(1, kLockNb);
    case Sys::fcntl:
      return as_int(args[1]) == kSetLk || as_int(args[1]) == kOfdSetLk ||
             (layout_of(call).narrow_words && as_int(args[1]) == kSetLk64);
    case Sys::futex:
      return (as_int(args[1]) & kFutexCommandMask) == kFutexTrylockPi;
    case Sys::recvfrom:
    case Sys::sendto:
    case Sys::recvmmsg:
    case Sys::sendmmsg:
      return has(3, kMsgDontwait);
    case Sys::recvmsg:
    case Sys::sendmsg:
      return has(2, kMsgDontwait);
    case Sys::msgsnd:
      return has(3, kIpcNowait);
    case Sys::msgrcv:
      return has(4, kIpcNowait);
    case Sys::preadv2:
    case Sys::pwritev2:
      return has(5, kRwfNowait);
    case Sys::splice:
      return has(5, kSpliceNonblock);
    case Sys::tee:
    case Sys::vmsplice:
      return has(3, kSpliceNonblock);
    default:
      return false;
  }
}

std::optional<std::string> written_bytes(const RawCall& call, std::int64_t result,
                                         const RemoteMemory& memory) {
  if (result <= 0) return std::nullopt;
  const auto& args = call.args;
  const Layout layout = layout_of(call);
  std::uint64_t left = static_cast<std::uint64_t>(result);
  std::string out;
  switch (sys_of(call.abi, call.number)) {
    case Sys::write:
    case Sys::pwrite64:
    case Sys::sendto:
      append_bytes(memory, args[1], args[2], left, out);
      break;
    case Sys::writev:
    case Sys::pwritev:
    case Sys::pwritev2:
      append_vector(memory, layout, args[1], args[2], left, out);
      break;
    case Sys::sendmsg: {
      KernelMsghdr header;
      if (!read_wire(memory, base::RemoteAddr{args[1]}, layout, header)) return std::nullopt;
      append_vector(memory, layout, header.iov, header.iov_count, left, out);
      break;
    }
    case Sys::sendmmsg: {
      // The result counts messages; a message that was sent was sent whole.
      left = kMaxBuffer;
      for (const KernelMmsghdr& item : read_wire_array<KernelMmsghdr>(
               memory, base::RemoteAddr{args[1]}, static_cast<std::uint64_t>(result), kMaxMessages,
               layout)) {
        if (!append_vector(memory, layout, item.header.iov, item.header.iov_count, left, out)) {
          break;
        }
      }
      break;
    }
    default:
      return std::nullopt;
  }
  if (out.empty()) return std::nullopt;
  return out;
}

}  // namespace stucktrace::syscalls
