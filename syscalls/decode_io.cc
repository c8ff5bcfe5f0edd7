#include <algorithm>

#include "syscalls/decode_parts.h"

// read and write families, open, fcntl, poll, select, epoll.

namespace stucktrace::syscalls {
namespace {

// fcntl(2) commands; linux/fcntl.h and asm-generic/fcntl.h.
enum FcntlCommand : int {
  kDupFd = 0,
  kGetFd = 1,
  kSetFd = 2,
  kGetFl = 3,
  kSetFl = 4,
  kGetLk = 5,
  kSetLk = 6,
  kSetLkw = 7,
  kSetOwn = 8,
  kGetOwn = 9,
  kSetSig = 10,
  kGetSig = 11,
  kGetLk64 = 12,
  kSetLk64 = 13,
  kSetLkw64 = 14,
  kOfdGetLk = 36,
  kOfdSetLk = 37,
  kOfdSetLkw = 38,
  kSetLease = 1024,
  kGetLease = 1025,
  kDupFdQuery = 1027,
  kDupFdCloexec = 1030,
  kGetPipeSize = 1032,
  kAddSeals = 1033,
  kGetSeals = 1034,
};

constexpr std::uint64_t kOpenCreat = 0x40;
constexpr std::uint64_t kOpenTmpfileBit = 0x400000;  // without O_DIRECTORY, which O_TMPFILE adds

Value flock_value(const KernelFlock& lock, bool with_owner) {
  Fields fields;
  fields.add("l_type", named(NameSet::kLockType, static_cast<std::uint16_t>(lock.type)))
      .add("l_whence", named(ArgKind::kWhence, static_cast<std::uint16_t>(lock.whence)))
      .add("l_start", Value{Integer{lock.start}})
      .add("l_len", Value{Integer{lock.length}});
  if (with_owner) fields.add("l_pid", Value{PidValue{lock.pid}});
  return fields.done();
}

Value fcntl_argument(const Call& call) {
  const std::uint64_t raw = call.arg(2);
  switch (call.int_arg(1)) {
    case kDupFd:
    case kDupFdCloexec:
      return Value{Integer{static_cast<std::int32_t>(raw)}};
    case kDupFdQuery:
      return fd_value(raw);
    case kSetFd:
      return named(NameSet::kFdFlags, raw);
    case kSetFl:
      return open_flags_value(call, raw);
    case kSetOwn:
      return Value{PidValue{static_cast<std::int32_t>(raw)}};
    case kSetSig:
      return Value{Signal{static_cast<int>(raw)}};
    case kSetLease:
      return named(NameSet::kLockType, raw);
    case kAddSeals:
      return named(NameSet::kSeals, raw);
    default:
      break;
  }
  switch (const Pointee how = fcntl_pointee(call)) {
    case Pointee::kFlockIn:
    case Pointee::kFlockInOut: {
      const auto lock = read_flock(call.memory, call.pointer(2), call.layout, call.int_arg(1));
      if (!lock) return pointer_value(call.pointer(2));
      return flock_value(*lock, how == Pointee::kFlockInOut && call.succeeded());
    }
    case Pointee::kPlain:
      return Value{Integer{static_cast<std::int32_t>(raw)}};
    default:
      return pointer_value(call.pointer(2));
  }
}

Value open_how_value(const Call& call, std::size_t index) {
  // A kernel that knows a longer structure is not this table's; a shorter size is an error
  // (EINVAL).
  if (call.arg(index + 1) < sizeof(KernelOpenHow)) return pointer_value(call.pointer(index));
  return pointee<KernelOpenHow>(call, call.pointer(index), [&](const KernelOpenHow& how) {
    Fields fields;
    fields.add("flags", open_flags_value(call, how.flags));
    if ((how.flags & (kOpenCreat | kOpenTmpfileBit)) != 0)
      fields.add("mode", Value{Octal{how.mode}});
    return fields.add("resolve", named(NameSet::kResolve, how.resolve)).done();
  });
}

Value argv_value(const Call& call, std::size_t index) {
  const base::RemoteAddr address = call.pointer(index);
  const auto pointers = read_array<KernelWord>(call, address, kMaxArguments, kMaxArguments);
  if (pointers.empty()) return pointer_value(address);
  Array array;
  array.cut = true;
  for (const KernelWord& pointer : pointers) {
    if (pointer.value == 0) {
      array.cut = false;
      break;
    }
    array.items.push_back(
        text_value(call.memory, base::RemoteAddr{pointer.value}, kMaxArgumentText));
  }
  return Value{std::move(array)};
}

Value fd_pair_value(const Call& call, std::size_t index) {
  if (!call.succeeded()) return pointer_value(call.pointer(index));
  return pointee<std::array<std::int32_t, 2>>(
      call, call.pointer(index), [](const std::array<std::int32_t, 2>& fds) {
        return Value{Array{{Value{Fd{fds[0]}}, Value{Fd{fds[1]}}}, false}};
      });
}

Value msgbuf_value(const Call& call, std::size_t index, bool out) {
  const base::RemoteAddr address = call.pointer(index);
  if (out && !call.succeeded()) return pointer_value(address);
  return pointee<KernelLong>(call, address, [&](const KernelLong& type) {
    std::size_t budget = kMaxBuffer;
    const std::uint64_t size = out ? call.count() : call.arg(index + 1);
    const base::RemoteAddr text{address.value() + call.layout.word_size()};
    return Fields{}
        .add("mtype", Value{Integer{type.value}})
        .add("mtext", buffer_value(call.memory, text, size, budget))
        .done();
  });
}

Value pollfds_value(const Call& call, std::size_t index) {
  const base::RemoteAddr address = call.pointer(index);
  const std::uint64_t count = static_cast<std::uint32_t>(call.arg(index + 1));
  const auto items = read_array<KernelPollfd>(call, address, count, kMaxVector);
  if (items.empty() && count > 0) return pointer_value(address);
  Array array;
  array.cut = items.size() < count;
  for (const KernelPollfd& item : items) {
    Fields fields;
    fields.add("fd", Value{Fd{item.fd}}).add("events", named(NameSet::kPollEvents, item.events));
    if (call.count() > 0) fields.add("revents", named(NameSet::kPollEvents, item.revents));
    array.items.push_back(fields.done());
  }
  return Value{std::move(array)};
}

Value fd_set_value(const Call& call, std::size_t index) {
  const base::RemoteAddr address = call.pointer(index);
  if (address.value() == 0) return Value{Null{}};
  const int bits = call.int_arg(0);
  if (bits <= 0) return Value{Array{}};
  const auto words = read_fd_set(call.memory, address, call.layout, bits);
  if (words.empty()) return pointer_value(address);
  Array array;
  array.cut = words.size() * 64 < static_cast<std::size_t>(bits);
  for (int fd = 0; fd < bits && static_cast<std::size_t>(fd) / 64 < words.size(); ++fd) {
    const std::uint64_t word = words[static_cast<std::size_t>(fd) / 64];
    if ((word >> (fd % 64) & 1U) != 0) array.items.push_back(Value{Fd{fd}});
  }
  return Value{std::move(array)};
}

Value epoll_event_value(const Call& call, std::span<const std::byte> bytes) {
  const KernelEpollEvent event = read_epoll_event(bytes, call.layout);
  return Fields{}
      .add("events", named(NameSet::kEpollEvents, event.events))
      .add("data", Fields{}
                       .add("u32", Value{Unsigned{static_cast<std::uint32_t>(event.data)}})
                       .add("u64", Value{Unsigned{event.data}})
                       .done())
      .done();
}

Value epoll_event_in_value(const Call& call, std::size_t index) {
  std::array<std::byte, kMaxEpollEventSize> room;
  const auto bytes = std::span{room}.first(call.layout.epoll_event_size());
  if (call.memory.read(call.pointer(index), bytes) < bytes.size()) {
    return pointer_value(call.pointer(index));
  }
  return epoll_event_value(call, bytes);
}

Value epoll_events_value(const Call& call, std::size_t index) {
  if (!call.succeeded()) return pointer_value(call.pointer(index));
  const std::size_t size = call.layout.epoll_event_size();
  const auto bytes =
      read_array<std::byte>(call, call.pointer(index), call.count() * size, kMaxVector * size);
  const std::size_t count = bytes.size() / size;
  if (count == 0 && call.count() > 0) return pointer_value(call.pointer(index));
  Array array;
  array.cut = count < call.count();
  for (std::size_t i = 0; i < count; ++i) {
    array.items.push_back(epoll_event_value(call, std::span{bytes}.subspan(i * size, size)));
  }
  return Value{std::move(array)};
}

}  // namespace

Value iovec_value(const Call& call, base::RemoteAddr address, std::uint64_t count,
                  std::uint64_t valid, bool with_bytes, std::size_t& budget) {
  const auto items = read_array<KernelIovec>(call, address, count, kMaxVector);
  if (items.empty() && count > 0) return pointer_value(address);
  Array array;
  array.cut = items.size() < count;
  for (const KernelIovec& item : items) {
    const base::RemoteAddr base{item.base};
    const std::uint64_t size = std::min(item.length, valid);
    valid -= size;
    array.items.push_back(Fields{}
                              .add("iov_base", with_bytes
                                                   ? buffer_value(call.memory, base, size, budget)
                                                   : pointer_value(base))
                              .add("iov_len", Value{Unsigned{item.length}})
                              .done());
  }
  return Value{std::move(array)};
}

std::optional<Value> decode_io(const Call& call, ArgKind kind, std::size_t index) {
  const base::RemoteAddr address = call.pointer(index);
  const std::uint64_t next = call.arg(index + 1);
  std::size_t budget = kMaxBuffer;
  constexpr std::uint64_t kAll = ~std::uint64_t{0};
  switch (kind) {
    case ArgKind::kPath:
    case ArgKind::kStr:
      return text_value(call.memory, address, kMaxText);
    case ArgKind::kArgv:
      return argv_value(call, index);
    case ArgKind::kBufIn:
      return buffer_value(call.memory, address, next, budget);
    case ArgKind::kBufOut:
      if (!call.succeeded()) return pointer_value(address);
      return buffer_value(call.memory, address, std::min(call.count(), next), budget);
    case ArgKind::kPathOut:
      // readlink's result has no NUL; getcwd's counts it: the text ends at whichever comes first.
      if (!call.succeeded()) return pointer_value(address);
      return [&] {
        Value value = text_value(call.memory, address,
                                 static_cast<std::size_t>(std::min(call.count(), next)));
        if (auto* text = std::get_if<Text>(&value.data)) text->cut = call.count() > kMaxText;
        return value;
      }();
    case ArgKind::kIov:
      return iovec_value(call, address, next, kAll, false, budget);
    case ArgKind::kIovIn:
      return iovec_value(call, address, next, kAll, true, budget);
    case ArgKind::kIovOut:
      if (!call.succeeded()) return pointer_value(address);
      return iovec_value(call, address, next, call.count(), true, budget);
    case ArgKind::kMsgbufIn:
      return msgbuf_value(call, index, false);
    case ArgKind::kMsgbufOut:
      return msgbuf_value(call, index, true);
    case ArgKind::kFdPairOut:
      return fd_pair_value(call, index);
    case ArgKind::kOffsetPtr:
      return pointee<std::int64_t>(
          call, address, [](std::int64_t offset) { return one_of_array(Value{Integer{offset}}); });
    case ArgKind::kOffsetPtrOut:
      if (!call.succeeded()) return pointer_value(address);
      return pointee<std::int64_t>(
          call, address, [](std::int64_t offset) { return one_of_array(Value{Integer{offset}}); });
    case ArgKind::kWordOffsetPtr:
      return pointee<KernelLong>(call, address, [](const KernelLong& offset) {
        return one_of_array(Value{Integer{offset.value}});
      });
    case ArgKind::kFcntlArg:
      return fcntl_argument(call);
    case ArgKind::kOpenHow:
      return open_how_value(call, index);
    case ArgKind::kPollfds:
      return pollfds_value(call, index);
    case ArgKind::kFdSet:
      return fd_set_value(call, index);
    case ArgKind::kEpollEventIn:
      return epoll_event_in_value(call, index);
    case ArgKind::kEpollEventsOut:
      return epoll_events_value(call, index);
    default:
      return std::nullopt;
  }
}

Pointee fcntl_pointee(const Call& call) {
  switch (call.int_arg(1)) {
    case kGetLk64:  // commands of 32-bit calls alone
      return call.layout.narrow_words ? Pointee::kFlockInOut : Pointee::kOther;
    case kSetLk64:
    case kSetLkw64:
      return call.layout.narrow_words ? Pointee::kFlockIn : Pointee::kOther;
    case kGetFd:
    case kGetFl:
    case kGetOwn:
    case kGetSig:
    case kGetLease:
    case kGetPipeSize:
    case kGetSeals:
      return Pointee::kNone;
    case kSetLk:
    case kSetLkw:
    case kOfdSetLk:
    case kOfdSetLkw:
      return Pointee::kFlockIn;
    case kGetLk:
    case kOfdGetLk:
      return Pointee::kFlockInOut;
    case kDupFd:
    case kDupFdQuery:
    case kDupFdCloexec:
    case kSetFd:
    case kSetFl:
    case kSetOwn:
    case kSetSig:
    case kSetLease:
    case kAddSeals:
    case 1031:  // F_SETPIPE_SZ
    case 1026:  // F_NOTIFY
      return Pointee::kPlain;
    default:
      return Pointee::kOther;
  }
}

Value fcntl_result(const Call& call) {
  const std::uint64_t raw = static_cast<std::uint64_t>(call.result->value);
  switch (call.int_arg(1)) {
    case kDupFd:
    case kDupFdCloexec:
      return fd_value(raw);
    case kGetFd:
      return named(NameSet::kFdFlags, raw);
    case kGetFl:
      return open_flags_value(call, raw);
    case kGetOwn:
      return Value{PidValue{static_cast<std::int32_t>(raw)}};
    case kGetSig:
      return Value{Signal{static_cast<int>(raw)}};
    case kGetLease:
      return named(NameSet::kLockType, raw);
    case kGetSeals:
      return named(NameSet::kSeals, raw);
    default:
      return Value{Integer{call.result->value}};
  }
}

unsigned io_visible(const Call& call) {
  const unsigned all = (1U << call.row.arg_count) - 1;
  const auto without_mode = [&](std::size_t flags, unsigned mode) {
    const bool creates = (call.arg(flags) & (kOpenCreat | kOpenTmpfileBit)) != 0;
    return creates ? all : all & ~(1U << mode);
  };
  switch (call.row.id) {
    case Sys::open:
      return without_mode(1, 2);
    case Sys::openat:
      return without_mode(2, 3);
    case Sys::mq_open:
      return (call.arg(1) & kOpenCreat) != 0 ? all : 0b0011U;
    case Sys::fcntl:
      return fcntl_pointee(call) == Pointee::kNone ? 0b011U : all;
    case Sys::ioctl:
      return ioctl_pointee(static_cast<std::uint32_t>(call.arg(1))) == Pointee::kNone ? 0b011U
                                                                                      : all;
    default:
      return all;
  }
}

}  // namespace stucktrace::syscalls
