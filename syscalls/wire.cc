#include "syscalls/wire.h"

#include "syscalls/multiplexed.h"

namespace stucktrace::syscalls {
namespace {

constexpr std::int64_t kX32Bit = 0x40000000;
constexpr std::int64_t kFirstX32Number = 512;
// Every i386 call from here on takes 64-bit times (the *_time64 calls begin with it).
constexpr std::int64_t kFirstTime64Number = 403;

// struct flock of a 32-bit task, and its struct flock64, which x86 packs.
struct NarrowFlock {
  std::int16_t type = 0;
  std::int16_t whence = 0;
  std::int32_t start = 0;
  std::int32_t length = 0;
  std::int32_t pid = 0;
};
struct PackedFlock {
  std::int16_t type = 0;
  std::int16_t whence = 0;
  std::array<std::int32_t, 2> start{};
  std::array<std::int32_t, 2> length{};
  std::int32_t pid = 0;
};
static_assert(sizeof(PackedFlock) == 24);

std::int64_t joined(const std::array<std::int32_t, 2>& halves) {
  std::int64_t whole = 0;
  std::memcpy(&whole, halves.data(), sizeof whole);
  return whole;
}

// F_GETLK, F_SETLK and F_SETLKW; the *LK64 and the open-file-description commands take flock64.
bool takes_narrow_flock(int command) {
  return command >= 5 && command <= 7;
}

}  // namespace

Layout layout_of(Abi abi, std::int64_t number) {
  switch (abi) {
    case Abi::kI386: {
      const bool time64 = number >= kFirstTime64Number && !is_part_number(number);
      return {.narrow_words = true, .narrow_times = !time64};
    }
    case Abi::kX32:
      // Numbers from 512 on are exactly the calls whose structures are narrow; times never are.
      return {.narrow_words = (number & ~kX32Bit) >= kFirstX32Number};
    case Abi::kAarch64:
      return {.packed_epoll = false};
    case Abi::kX86_64:
    case Abi::kUnknown:
      break;
  }
  return {};
}

KernelWord widen(const NarrowWord& narrow) {
  return {narrow.value};
}
KernelLong widen(const NarrowLong& narrow) {
  return {narrow.value};
}
KernelIovec widen(const NarrowIovec& narrow) {
  return {narrow.base, narrow.length};
}
KernelMsghdr widen(const NarrowMsghdr& narrow) {
  KernelMsghdr wide;
  wide.name = narrow.name;
  wide.name_length = narrow.name_length;
  wide.iov = narrow.iov;
  wide.iov_count = narrow.iov_count;
  wide.control = narrow.control;
  wide.control_length = narrow.control_length;
  wide.flags = narrow.flags;
  return wide;
}
KernelMmsghdr widen(const NarrowMmsghdr& narrow) {
  KernelMmsghdr wide;
  wide.header = widen(narrow.header);
  wide.length = narrow.length;
  return wide;
}
KernelCmsghdr widen(const NarrowCmsghdr& narrow) {
  return {narrow.length, narrow.level, narrow.type};
}
KernelTimespec widen(const NarrowTimespec& narrow) {
  return {narrow.seconds, narrow.fraction};
}
KernelItimer widen(const NarrowItimer& narrow) {
  return {widen(narrow.interval), widen(narrow.value)};
}
KernelTimePair widen(const std::array<NarrowTimespec, 2>& narrow) {
  return {widen(narrow[0]), widen(narrow[1])};
}
KernelSigaction widen(const NarrowSigaction& narrow) {
  KernelSigaction wide;
  wide.handler = narrow.handler;
  wide.flags = narrow.flags;
  wide.restorer = narrow.restorer;
  wide.mask = std::uint64_t{narrow.mask[1]} << 32 | narrow.mask[0];
  return wide;
}
KernelSiginfo widen(const NarrowSiginfo& narrow) {
  KernelSiginfo wide;
  wide.signal = narrow.signal;
  wide.error = narrow.error;
  wide.code = narrow.code;
  wide.pid = narrow.pid;
  wide.uid = narrow.uid;
  wide.status = narrow.status;
  return wide;
}
KernelSigsetPack widen(const NarrowSigsetPack& narrow) {
  return {narrow.address, narrow.size};
}
KernelMqAttr widen(const NarrowMqAttr& narrow) {
  return {narrow.flags, narrow.max_messages, narrow.message_size, narrow.current_messages};
}
KernelRlimit widen(const NarrowRlimit& narrow) {
  // RLIM_INFINITY is all ones in each width (compat_get_rlimit).
  constexpr std::uint32_t kInfinity = 0xffffffff;
  const auto limit = [](std::uint32_t value) {
    return value == kInfinity ? ~std::uint64_t{0} : value;
  };
  return {limit(narrow.current), limit(narrow.maximum)};
}

std::size_t flock_size(const Layout& layout, int command) {
  if (!layout.narrow_words) return sizeof(KernelFlock);
  return takes_narrow_flock(command) ? sizeof(NarrowFlock) : sizeof(PackedFlock);
}

std::optional<KernelFlock> read_flock(const RemoteMemory& memory, base::RemoteAddr address,
                                      const Layout& layout, int command) {
  KernelFlock lock;
  if (!layout.narrow_words) {
    if (!memory.read_value(address, lock)) return std::nullopt;
    return lock;
  }
  if (takes_narrow_flock(command)) {
    NarrowFlock narrow;
    if (!memory.read_value(address, narrow)) return std::nullopt;
    lock.type = narrow.type;
    lock.whence = narrow.whence;
    lock.start = narrow.start;
    lock.length = narrow.length;
    lock.pid = narrow.pid;
    return lock;
  }
  PackedFlock packed;
  if (!memory.read_value(address, packed)) return std::nullopt;
  lock.type = packed.type;
  lock.whence = packed.whence;
  lock.start = joined(packed.start);
  lock.length = joined(packed.length);
  lock.pid = packed.pid;
  return lock;
}

std::size_t fd_set_size(const Layout& layout, int bits) {
  if (bits <= 0) return 0;
  const std::size_t word = layout.word_size();
  const std::size_t words = (static_cast<std::size_t>(bits) + word * 8 - 1) / (word * 8);
  return std::min(words * word, kMaxFdSetBytes);
}

std::vector<std::uint64_t> read_fd_set(const RemoteMemory& memory, base::RemoteAddr address,
                                       const Layout& layout, int bits) {
  constexpr std::size_t kWord = sizeof(std::uint64_t);
  const std::size_t size = fd_set_size(layout, bits);
  if (address.value() == 0 || size == 0) return {};
  std::vector<std::uint64_t> words((size + kWord - 1) / kWord);
  const auto room = std::as_writable_bytes(std::span{words}).first(size);
  // Only whole words of the task count; a last half word of ours stays zero above.
  const std::size_t got = memory.read(address, room) / layout.word_size() * layout.word_size();
  std::fill(room.begin() + static_cast<std::ptrdiff_t>(got), room.end(), std::byte{0});
  words.resize((got + kWord - 1) / kWord);
  return words;
}

KernelEpollEvent read_epoll_event(std::span<const std::byte> bytes, const Layout& layout) {
  KernelEpollEvent event;
  if (bytes.size() < layout.epoll_event_size()) return event;
  const std::size_t data = layout.epoll_event_size() - sizeof event.data;
  std::memcpy(&event.events, bytes.data(), sizeof event.events);
  std::memcpy(&event.data, bytes.data() + data, sizeof event.data);
  return event;
}

}  // namespace stucktrace::syscalls
