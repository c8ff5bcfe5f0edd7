#include <fmt/format.h>

#include "syscalls/decode_parts.h"

// futexes, System V semaphores and queues, POSIX message queues.

namespace stucktrace::syscalls {
namespace {

// linux/futex.h
enum FutexCommand : int {
  kWait = 0,
  kWake = 1,
  kRequeue = 3,
  kCmpRequeue = 4,
  kWakeOp = 5,
  kLockPi = 6,
  kUnlockPi = 7,
  kTrylockPi = 8,
  kWaitBitset = 9,
  kWakeBitset = 10,
  kWaitRequeuePi = 11,
  kCmpRequeuePi = 12,
  kLockPi2 = 13,
};
constexpr int kPrivateFlag = 0x80;
constexpr std::uint32_t kMatchAny = 0xffffffff;  // FUTEX_BITSET_MATCH_ANY

constexpr int kSetVal = 16;  // semctl SETVAL
constexpr int kIpc64 = 0x100;

Value futex_op_value(int operation) {
  const ConstantSet& set = *constant_set(ArgKind::kFutexOp);
  const std::uint64_t command = static_cast<std::uint64_t>(operation & kFutexCommandMask);
  std::string text = flags_text(set, command);
  if ((operation & kPrivateFlag) != 0) text += "_PRIVATE";
  const int rest = operation & ~(kFutexCommandMask | kPrivateFlag | kFutexClockRealtime);
  if ((operation & kFutexClockRealtime) != 0) text += "|FUTEX_CLOCK_REALTIME";
  if (rest != 0) text += fmt::format("|{:#x}", static_cast<unsigned>(rest));
  return Value{Symbol{operation, std::move(text)}};
}

Value futex_val3_value(const Call& call, std::uint32_t raw) {
  const int command = call.int_arg(1) & kFutexCommandMask;
  if (raw == kMatchAny && (command == kWaitBitset || command == kWakeBitset)) {
    return Value{Symbol{raw, "FUTEX_BITSET_MATCH_ANY"}};
  }
  return Value{Hex{raw}};
}

Value timespec_or_address(const Call& call, std::size_t index) {
  return pointee<KernelTimespec>(call, call.pointer(index), [](const KernelTimespec& time) {
    return Value{Duration{time.seconds, time.fraction}};
  });
}

Value futex_waiters_value(const Call& call, std::size_t index) {
  const std::uint64_t count =
      call.row.id == Sys::futex_requeue ? 2 : static_cast<std::uint32_t>(call.arg(index + 1));
  const auto items =
      read_array<KernelFutexWaitv>(call, call.pointer(index), count, kMaxFutexWaiters);
  if (items.empty() && count > 0) return pointer_value(call.pointer(index));
  Array array;
  array.cut = items.size() < count;
  for (const KernelFutexWaitv& item : items) {
    array.items.push_back(Fields{}
                              .add("val", Value{Unsigned{item.value}})
                              .add("uaddr", pointer_value(base::RemoteAddr{item.address}))
                              .add("flags", named(ArgKind::kFutex2Flags, item.flags))
                              .done());
  }
  return Value{std::move(array)};
}

Value sembufs_value(const Call& call, std::size_t index) {
  const std::uint64_t count = static_cast<std::uint32_t>(call.arg(index + 1));
  const auto items = read_array<KernelSembuf>(call, call.pointer(index), count, kMaxSembufs);
  if (items.empty() && count > 0) return pointer_value(call.pointer(index));
  Array array;
  array.cut = items.size() < count;
  for (const KernelSembuf& item : items) {
    array.items.push_back(
        Fields{}
            .add("sem_num", Value{Unsigned{item.number}})
            .add("sem_op", Value{Integer{item.operation}})
            .add("sem_flg", named(NameSet::kSemFlags, static_cast<std::uint16_t>(item.flags)))
            .done());
  }
  return Value{std::move(array)};
}

Value mq_attr_value(const KernelMqAttr& attr) {
  return Fields{}
      .add("mq_flags", named(ArgKind::kOpenFlags, static_cast<std::uint64_t>(attr.flags)))
      .add("mq_maxmsg", Value{Integer{attr.max_messages}})
      .add("mq_msgsize", Value{Integer{attr.message_size}})
      .add("mq_curmsgs", Value{Integer{attr.current_messages}})
      .done();
}

Value ipc_key_value(std::uint64_t raw) {
  const std::uint32_t key = static_cast<std::uint32_t>(raw);
  if (key == 0) return Value{Symbol{0, "IPC_PRIVATE"}};
  return Value{Hex{key}};
}

// IPC_CREAT|IPC_EXCL|0600: the low nine bits are a mode.
Value ipc_get_value(ArgKind kind, std::uint64_t raw) {
  constexpr std::uint64_t kModeBits = 0777;
  const std::uint64_t mode = raw & kModeBits;
  std::string text = flags_text(*constant_set(kind), raw & 0xffffffffU & ~kModeBits);
  if (mode != 0) text += fmt::format("{}0{:o}", text.empty() ? "" : "|", mode);
  return Value{Flags{raw & 0xffffffffU, std::move(text)}};
}

}  // namespace

bool futex_takes_timeout(int operation) {
  switch (operation & kFutexCommandMask) {
    case kWait:
    case kLockPi:
    case kLockPi2:
    case kWaitBitset:
    case kWaitRequeuePi:
      return true;
    default:
      return false;
  }
}

bool futex_timeout_is_absolute(int operation) {
  // futex(2): FUTEX_WAIT alone takes a relative time.
  return (operation & kFutexCommandMask) != kWait;
}

unsigned futex_visible(const Call& call) {
  switch (call.int_arg(1) & kFutexCommandMask) {
    case kWait:
      return 0b001111;
    case kWake:
      return 0b000111;
    case kRequeue:
      return 0b011111;
    case kLockPi:
    case kLockPi2:
      return 0b001011;
    case kUnlockPi:
    case kTrylockPi:
      return 0b000011;
    case kWaitBitset:
      return 0b101111;
    case kWakeBitset:
      return 0b100111;
    case kWaitRequeuePi:
      return 0b011111;
    default:
      return 0b111111;
  }
}

std::optional<Value> decode_sync(const Call& call, ArgKind kind, std::size_t index) {
  const std::uint64_t raw = call.arg(index);
  switch (kind) {
    case ArgKind::kFutexOp:
      return futex_op_value(call.int_arg(index));
    case ArgKind::kFutexVal:
      return Value{Unsigned{static_cast<std::uint32_t>(raw)}};
    case ArgKind::kFutexTimeout:
      if (futex_takes_timeout(call.int_arg(1))) return timespec_or_address(call, index);
      return Value{Unsigned{static_cast<std::uint32_t>(raw)}};
    case ArgKind::kFutexVal3:
      return futex_val3_value(call, static_cast<std::uint32_t>(raw));
    case ArgKind::kFutexWaiters:
      return futex_waiters_value(call, index);
    case ArgKind::kSembufs:
      return sembufs_value(call, index);
    case ArgKind::kSemctlArg:
      if ((call.int_arg(2) & ~kIpc64) == kSetVal) {
        return Value{Integer{static_cast<std::int32_t>(raw)}};
      }
      return pointer_value(call.pointer(index));
    case ArgKind::kMqAttrIn:
      return pointee<KernelMqAttr>(call, call.pointer(index), mq_attr_value);
    case ArgKind::kMqAttrOut:
      if (!call.succeeded()) return pointer_value(call.pointer(index));
      return pointee<KernelMqAttr>(call, call.pointer(index), mq_attr_value);
    case ArgKind::kIpcKey:
      return ipc_key_value(raw);
    case ArgKind::kIpcGetFlags:
    case ArgKind::kShmGetFlags:
      return ipc_get_value(kind, raw);
    case ArgKind::kIpcCmd:
      if (call.row.id == Sys::msgctl) {
        return named(NameSet::kMsgCmd, raw & ~static_cast<std::uint64_t>(kIpc64));
      }
      return std::nullopt;
    default:
      return std::nullopt;
  }
}

}  // namespace stucktrace::syscalls
