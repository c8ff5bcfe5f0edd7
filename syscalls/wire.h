#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <vector>

#include "syscalls/decode.h"
#include "syscalls/layout.h"
#include "syscalls/memory.h"

namespace stucktrace::syscalls {

// How structures lie in a task's memory. It depends on the call, not on the task: a 64-bit program
// may make a 32-bit call by int 0x80. Readers get the 64-bit structure of layout.h in every case;
// where the task's own form is shorter it is widened.
struct Layout {
  bool narrow_words = false;  // long, size_t and pointers have four bytes
  bool narrow_times = false;  // struct timespec and timeval are two 32-bit words
  bool packed_epoll = true;   // struct epoll_event without padding: x86 alone

  std::size_t word_size() const { return narrow_words ? 4 : 8; }
  std::size_t epoll_event_size() const { return packed_epoll ? 12 : 16; }
  bool operator==(const Layout&) const = default;
};

Layout layout_of(Abi abi, std::int64_t number);
inline Layout layout_of(const RawCall& call) {
  return layout_of(call.abi, call.number);
}

// ---- the narrow forms ---------------------------------------------------------------------------

// include/linux/compat.h and arch/x86/include/asm/compat.h; time types from vdso/time32.h.

struct NarrowWord {
  std::uint32_t value = 0;
};
struct NarrowLong {
  std::int32_t value = 0;
};
struct NarrowIovec {
  std::uint32_t base = 0;
  std::uint32_t length = 0;
};
struct NarrowMsghdr {
  std::uint32_t name = 0;
  std::uint32_t name_length = 0;
  std::uint32_t iov = 0;
  std::uint32_t iov_count = 0;
  std::uint32_t control = 0;
  std::uint32_t control_length = 0;
  std::uint32_t flags = 0;
};
struct NarrowMmsghdr {
  NarrowMsghdr header;
  std::uint32_t length = 0;
};
struct NarrowCmsghdr {
  std::uint32_t length = 0;
  std::int32_t level = 0;
  std::int32_t type = 0;
};
struct NarrowTimespec {
  std::int32_t seconds = 0;
  std::int32_t fraction = 0;
};
struct NarrowItimer {
  NarrowTimespec interval;
  NarrowTimespec value;
};
struct NarrowSigaction {
  std::uint32_t handler = 0;
  std::uint32_t flags = 0;
  std::uint32_t restorer = 0;
  std::array<std::uint32_t, 2> mask{};
};
struct NarrowSiginfo {
  std::int32_t signal = 0;
  std::int32_t error = 0;
  std::int32_t code = 0;
  std::int32_t pid = 0;
  std::uint32_t uid = 0;
  std::int32_t status = 0;
};
struct NarrowSigsetPack {
  std::uint32_t address = 0;
  std::uint32_t size = 0;
};
struct NarrowMqAttr {
  std::int32_t flags = 0;
  std::int32_t max_messages = 0;
  std::int32_t message_size = 0;
  std::int32_t current_messages = 0;
};
struct NarrowRlimit {
  std::uint32_t current = 0;
  std::uint32_t maximum = 0;
};

KernelWord widen(const NarrowWord& narrow);
KernelLong widen(const NarrowLong& narrow);
KernelIovec widen(const NarrowIovec& narrow);
KernelMsghdr widen(const NarrowMsghdr& narrow);
KernelMmsghdr widen(const NarrowMmsghdr& narrow);
KernelCmsghdr widen(const NarrowCmsghdr& narrow);
KernelTimespec widen(const NarrowTimespec& narrow);
KernelItimer widen(const NarrowItimer& narrow);
KernelTimePair widen(const std::array<NarrowTimespec, 2>& narrow);
KernelSigaction widen(const NarrowSigaction& narrow);
KernelSiginfo widen(const NarrowSiginfo& narrow);
KernelSigsetPack widen(const NarrowSigsetPack& narrow);
KernelMqAttr widen(const NarrowMqAttr& narrow);
KernelRlimit widen(const NarrowRlimit& narrow);

// Which narrow form a structure has; without a specialisation it is the same in every ABI.
template <class T>
struct NarrowForm {
  using Type = T;
  static constexpr bool kHasTimes = false;
};
template <class Narrow, bool kTimes = false>
struct NarrowFormOf {
  using Type = Narrow;
  static constexpr bool kHasTimes = kTimes;
};
template <>
struct NarrowForm<KernelWord> : NarrowFormOf<NarrowWord> {};
template <>
struct NarrowForm<KernelLong> : NarrowFormOf<NarrowLong> {};
template <>
struct NarrowForm<KernelIovec> : NarrowFormOf<NarrowIovec> {};
template <>
struct NarrowForm<KernelMsghdr> : NarrowFormOf<NarrowMsghdr> {};
template <>
struct NarrowForm<KernelMmsghdr> : NarrowFormOf<NarrowMmsghdr> {};
template <>
struct NarrowForm<KernelCmsghdr> : NarrowFormOf<NarrowCmsghdr> {};
template <>
struct NarrowForm<KernelTimespec> : NarrowFormOf<NarrowTimespec, true> {};
template <>
struct NarrowForm<KernelItimer> : NarrowFormOf<NarrowItimer, true> {};
template <>
struct NarrowForm<KernelTimePair> : NarrowFormOf<std::array<NarrowTimespec, 2>, true> {};
template <>
struct NarrowForm<KernelSigaction> : NarrowFormOf<NarrowSigaction> {};
template <>
struct NarrowForm<KernelSiginfo> : NarrowFormOf<NarrowSiginfo> {};
template <>
struct NarrowForm<KernelSigsetPack> : NarrowFormOf<NarrowSigsetPack> {};
template <>
struct NarrowForm<KernelMqAttr> : NarrowFormOf<NarrowMqAttr> {};
template <>
struct NarrowForm<KernelRlimit> : NarrowFormOf<NarrowRlimit> {};

template <class T>
constexpr bool is_narrow(const Layout& layout) {
  if constexpr (std::same_as<typename NarrowForm<T>::Type, T>) return false;
  return NarrowForm<T>::kHasTimes ? layout.narrow_times : layout.narrow_words;
}

// Bytes of one T in the task's memory.
template <class T>
constexpr std::size_t wire_size(const Layout& layout) {
  return is_narrow<T>(layout) ? sizeof(typename NarrowForm<T>::Type) : sizeof(T);
}

// 64-bit times of a 32-bit call: the kernel looks at 32 bits of the nanoseconds only
// (get_timespec64), and the caller may leave anything in the other half.
inline void settle(auto&, const Layout&) {}
inline void settle(KernelTimespec& time, const Layout& layout) {
  if (layout.narrow_words) time.fraction &= 0xffffffff;
}
inline void settle(KernelItimer& timer, const Layout& layout) {
  settle(timer.interval, layout);
  settle(timer.value, layout);
}
inline void settle(KernelTimePair& times, const Layout& layout) {
  for (KernelTimespec& time : times) settle(time, layout);
}

// ---- reading ------------------------------------------------------------------------------------

// The bytes at the start of `items` are in the task's form: makes them T in place. Returns how many
// whole items the `got` bytes were.
template <class T>
std::size_t widen_in_place(std::span<T> items, std::size_t got, const Layout& layout) {
  const std::size_t count = std::min(items.size(), got / wire_size<T>(layout));
  if constexpr (!std::same_as<typename NarrowForm<T>::Type, T>) {
    if (is_narrow<T>(layout)) {
      using Narrow = typename NarrowForm<T>::Type;
      static_assert(sizeof(Narrow) <= sizeof(T));
      // From the last to the first: a wide item never covers a narrow one that is still to come.
      for (std::size_t i = count; i-- > 0;) {
        Narrow narrow;
        std::memcpy(&narrow, std::as_bytes(items).data() + i * sizeof(Narrow), sizeof(Narrow));
        items[i] = widen(narrow);
      }
      return count;
    }
  }
  for (T& item : items.first(count)) settle(item, layout);
  return count;
}

template <class T>
bool read_wire(const RemoteMemory& memory, base::RemoteAddr address, const Layout& layout, T& out) {
  T item{};
  const auto room = std::as_writable_bytes(std::span{&item, 1}).first(wire_size<T>(layout));
  if (memory.read(address, room) < room.size()) return false;
  widen_in_place(std::span{&item, 1}, room.size(), layout);
  out = item;
  return true;
}

// Whole items that could be read of an array, at most `limit`.
template <class T>
std::vector<T> read_wire_array(const RemoteMemory& memory, base::RemoteAddr address,
                               std::uint64_t count, std::size_t limit, const Layout& layout) {
  if (address.value() == 0) return {};
  std::vector<T> items(count < limit ? static_cast<std::size_t>(count) : limit);
  const auto room =
      std::as_writable_bytes(std::span{items}).first(items.size() * wire_size<T>(layout));
  const std::size_t got = memory.read(address, room);
  items.resize(widen_in_place(std::span{items}, got, layout));
  return items;
}

// struct flock, of which a 32-bit call has two forms: by the command (fcntl(2)).
std::size_t flock_size(const Layout& layout, int command);
std::optional<KernelFlock> read_flock(const RemoteMemory& memory, base::RemoteAddr address,
                                      const Layout& layout, int command);

// An fd_set of `bits` descriptors as 64-bit words, and the bytes it has in the task's memory. The
// kernel reads whole words of the task.
std::size_t fd_set_size(const Layout& layout, int bits);
std::vector<std::uint64_t> read_fd_set(const RemoteMemory& memory, base::RemoteAddr address,
                                       const Layout& layout, int bits);

KernelEpollEvent read_epoll_event(std::span<const std::byte> bytes, const Layout& layout);

}  // namespace stucktrace::syscalls
