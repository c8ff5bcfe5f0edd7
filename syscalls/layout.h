#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace stucktrace::syscalls {

// Structures as a 64-bit kernel lays them out in a tracee's memory, written down here because
// libc's own differ in places (sigaction, the time types) and a recording may be read elsewhere.
// What a 32-bit task has instead stands in wire.h, which is how all of these are read.

struct KernelWord {  // a pointer or size_t in an array of them
  std::uint64_t value = 0;
};
struct KernelLong {
  std::int64_t value = 0;
};

struct KernelIovec {
  std::uint64_t base = 0;
  std::uint64_t length = 0;
};

struct KernelMsghdr {
  std::uint64_t name = 0;
  std::uint32_t name_length = 0;
  std::uint32_t pad = 0;
  std::uint64_t iov = 0;
  std::uint64_t iov_count = 0;
  std::uint64_t control = 0;
  std::uint64_t control_length = 0;
  std::uint32_t flags = 0;
  std::uint32_t pad2 = 0;
};

struct KernelMmsghdr {
  KernelMsghdr header;
  std::uint32_t length = 0;  // bytes sent or received
  std::uint32_t pad = 0;
};

struct KernelCmsghdr {
  std::uint64_t length = 0;  // header included
  std::int32_t level = 0;
  std::int32_t type = 0;
};

struct KernelPollfd {
  std::int32_t fd = -1;
  std::uint16_t events = 0;
  std::uint16_t revents = 0;
};

// Packed on x86 alone (linux/eventpoll.h, EPOLL_PACKED): read by read_epoll_event.
struct KernelEpollEvent {
  std::uint32_t events = 0;
  std::uint64_t data = 0;
};
inline constexpr std::size_t kMaxEpollEventSize = 16;

struct KernelTimespec {
  std::int64_t seconds = 0;
  std::int64_t fraction = 0;  // nanoseconds; microseconds in a timeval
};

using KernelTimePair = std::array<KernelTimespec, 2>;

struct KernelItimer {
  KernelTimespec interval;
  KernelTimespec value;
};

struct KernelFlock {
  std::int16_t type = 0;
  std::int16_t whence = 0;
  std::int32_t pad = 0;
  std::int64_t start = 0;
  std::int64_t length = 0;
  std::int32_t pid = 0;
  std::int32_t pad2 = 0;
};

struct KernelSembuf {
  std::uint16_t number = 0;
  std::int16_t operation = 0;
  std::int16_t flags = 0;
};

struct KernelOpenHow {
  std::uint64_t flags = 0;
  std::uint64_t mode = 0;
  std::uint64_t resolve = 0;
};

struct KernelCloneArgs {
  std::uint64_t flags = 0;
  std::uint64_t pidfd = 0;
  std::uint64_t child_tid = 0;
  std::uint64_t parent_tid = 0;
  std::uint64_t exit_signal = 0;
  std::uint64_t stack = 0;
  std::uint64_t stack_size = 0;
  std::uint64_t tls = 0;
  std::uint64_t set_tid = 0;
  std::uint64_t set_tid_size = 0;
  std::uint64_t cgroup = 0;
};
inline constexpr std::size_t kCloneArgsMinSize = 64;  // CLONE_ARGS_SIZE_VER0

struct KernelFutexWaitv {
  std::uint64_t value = 0;
  std::uint64_t address = 0;
  std::uint32_t flags = 0;
  std::uint32_t reserved = 0;
};

struct KernelSigaction {
  std::uint64_t handler = 0;
  std::uint64_t flags = 0;
  std::uint64_t restorer = 0;
  std::uint64_t mask = 0;
};

// What sigaction(2) of i386 takes: the first 32 signals only.
struct KernelOldSigaction {
  std::uint32_t handler = 0;
  std::uint32_t mask = 0;
  std::uint32_t flags = 0;
  std::uint32_t restorer = 0;
};

// The head of siginfo_t with its most used union members laid over each other.
struct KernelSiginfo {
  std::int32_t signal = 0;
  std::int32_t error = 0;
  std::int32_t code = 0;
  std::int32_t pad = 0;
  std::int32_t pid = 0;  // si_addr's low half for faults
  std::uint32_t uid = 0;
  std::int32_t status = 0;  // si_value's low half for sigqueue
  std::int32_t pad2 = 0;
};

struct KernelSigsetPack {  // pselect6's sixth argument
  std::uint64_t address = 0;
  std::uint64_t size = 0;
};

struct KernelMqAttr {
  std::int64_t flags = 0;
  std::int64_t max_messages = 0;
  std::int64_t message_size = 0;
  std::int64_t current_messages = 0;
};

struct KernelRlimit {
  std::uint64_t current = 0;
  std::uint64_t maximum = 0;
};

struct KernelTermios {
  std::uint32_t input = 0;
  std::uint32_t output = 0;
  std::uint32_t control = 0;
  std::uint32_t local = 0;
};

struct KernelWinsize {
  std::uint16_t rows = 0;
  std::uint16_t columns = 0;
  std::uint16_t x_pixels = 0;
  std::uint16_t y_pixels = 0;
};

// Bounds on what is ever read for one argument, whatever the tracee claims.
inline constexpr std::size_t kMaxText = 4096;          // PATH_MAX
inline constexpr std::size_t kMaxBuffer = 64 * 1024;   // one buffer, or all of a vector
inline constexpr std::size_t kMaxVector = 1024;        // IOV_MAX; also pollfds, events, messages
inline constexpr std::size_t kMaxSembufs = 512;        // SEMOPM is 500
inline constexpr std::size_t kMaxFutexWaiters = 128;   // FUTEX_WAITV_MAX
inline constexpr std::size_t kMaxMessages = 16;        // of one sendmmsg or recvmmsg
inline constexpr std::size_t kMaxFdSetBytes = 8192;    // 65 536 descriptors
inline constexpr std::size_t kMaxArguments = 64;       // of an argv
inline constexpr std::size_t kMaxArgumentText = 1024;  // each
inline constexpr std::size_t kMaxSockaddr = 128;       // sockaddr_storage
inline constexpr std::size_t kMaxControl = 4096;       // ancillary data

}  // namespace stucktrace::syscalls
