#include <algorithm>
#include <array>
#include <cstring>
#include <span>

#include "syscalls/decode_parts.h"

// What to keep of a stopped tracee's memory: the mirror image of the decoders, without a value in
// sight. Runs at every stop, so a call without memory arguments costs a look at its row.

namespace stucktrace::syscalls {
namespace {

constexpr std::uint64_t kEverything = ~std::uint64_t{0};

class Capturer {
 public:
  Capturer(const Call& call, const CaptureOptions& options, CapturedMemory& out)
      : call_(call), options_(options), out_(out) {}

  void enter();
  void exit();

 private:
  bool keeps_texts() const { return options_.payload != Payload::kNone; }
  // What the tracee puts out: everything, or what a person would see.
  bool keeps_output() const {
    return options_.payload == Payload::kAll ||
           (options_.payload == Payload::kText && options_.output_fd);
  }
  // What it takes in may be typed secrets: only on request.
  bool keeps_input() const { return options_.payload == Payload::kAll; }

  void enter_argument(ArgKind kind, std::size_t index);
  void exit_argument(ArgKind kind, std::size_t index);

  void bytes(base::RemoteAddr address, std::size_t size) {
    if (address.value() != 0 && size > 0) out_.capture(call_.memory, address, size);
  }
  void array(base::RemoteAddr address, std::uint64_t count, std::size_t limit, std::size_t size) {
    bytes(address, static_cast<std::size_t>(std::min<std::uint64_t>(count, limit)) * size);
  }
  void text(base::RemoteAddr address, std::size_t limit);
  void argv(base::RemoteAddr address);
  void buffer(base::RemoteAddr address, std::uint64_t size, std::size_t& budget);
  void whole_buffer(base::RemoteAddr address, std::uint64_t size);
  void vector(base::RemoteAddr address, std::uint64_t count, std::uint64_t valid, bool contents,
              std::size_t& budget);
  void sockaddr(base::RemoteAddr address, std::uint64_t size);
  void message(const KernelMsghdr& header, std::uint64_t valid, bool contents, std::size_t& budget);
  void messages(base::RemoteAddr address, std::uint64_t count, bool received);
  void one_message(base::RemoteAddr address, std::uint64_t valid, bool contents);
  // Keeps an array as it lies in the tracee and gives it widened, in `room`.
  template <class T>
  std::span<T> kept_items(base::RemoteAddr address, std::uint64_t count, std::span<T> room);
  void clone_args(std::size_t index);
  void pointee(std::size_t index, Pointee how, bool entering);
  // Captures a socklen_t and says what it holds, 0 if unreadable.
  std::uint64_t length_behind(std::size_t index);

  const Call& call_;
  const CaptureOptions& options_;
  CapturedMemory& out_;
};

std::size_t rlimit_size(const Call& call) {
  // 64 bits in every ABI for prlimit64.
  return call.row.id == Sys::prlimit64 ? sizeof(KernelRlimit)
                                       : wire_size<KernelRlimit>(call.layout);
}

// Structures of one size, read at the entry; 0: the kind is none.
std::size_t fixed_input(const Call& call, ArgKind kind) {
  const Layout& layout = call.layout;
  switch (kind) {
    case ArgKind::kOffsetPtr:
    case ArgKind::kSigsetIn:
      return sizeof(std::uint64_t);
    case ArgKind::kWordOffsetPtr:
      return layout.word_size();
    case ArgKind::kOldSigsetIn:
      return sizeof(std::uint32_t);
    case ArgKind::kOldSigactionIn:
      return sizeof(KernelOldSigaction);
    case ArgKind::kEpollEventIn:
      return layout.epoll_event_size();
    case ArgKind::kTimespecIn:
    case ArgKind::kTimevalIn:
      return wire_size<KernelTimespec>(layout);
    case ArgKind::kTimespecPairIn:
      return wire_size<KernelTimePair>(layout);
    case ArgKind::kItimerspecIn:
    case ArgKind::kItimervalIn:
      return wire_size<KernelItimer>(layout);
    case ArgKind::kSigactionIn:
      return wire_size<KernelSigaction>(layout);
    case ArgKind::kSiginfoIn:
      return wire_size<KernelSiginfo>(layout);
    case ArgKind::kRlimitIn:
      return rlimit_size(call);
    case ArgKind::kMqAttrIn:
      return wire_size<KernelMqAttr>(layout);
    default:
      return 0;
  }
}

// The same at the exit of a call that succeeded.
std::size_t fixed_output(const Call& call, ArgKind kind) {
  const Layout& layout = call.layout;
  switch (kind) {
    case ArgKind::kUintPtrOut:
    case ArgKind::kOldSigsetOut:
      return sizeof(std::uint32_t);
    case ArgKind::kFdPairOut:
    case ArgKind::kSigsetOut:
    case ArgKind::kOffsetPtrOut:
      return sizeof(std::uint64_t);
    case ArgKind::kOldSigactionOut:
      return sizeof(KernelOldSigaction);
    case ArgKind::kTimespecOut:
    case ArgKind::kTimevalOut:
      return wire_size<KernelTimespec>(layout);
    case ArgKind::kItimerspecOut:
    case ArgKind::kItimervalOut:
      return wire_size<KernelItimer>(layout);
    case ArgKind::kSigactionOut:
      return wire_size<KernelSigaction>(layout);
    case ArgKind::kSiginfoOut:
      return wire_size<KernelSiginfo>(layout);
    case ArgKind::kRlimitOut:
      return rlimit_size(call);
    case ArgKind::kMqAttrOut:
      return wire_size<KernelMqAttr>(layout);
    default:
      return 0;
  }
}

template <class T>
std::span<T> Capturer::kept_items(base::RemoteAddr address, std::uint64_t count,
                                  std::span<T> room) {
  if (address.value() == 0 || count == 0) return {};
  const std::size_t size = wire_size<T>(call_.layout);
  const auto bytes = std::as_writable_bytes(room).first(
      static_cast<std::size_t>(std::min<std::uint64_t>(count, room.size())) * size);
  const std::size_t got = call_.memory.read(address, bytes) / size * size;
  if (got == 0) return {};
  out_.add(address, bytes.first(got));
  return room.first(widen_in_place(room, got, call_.layout));
}

void Capturer::text(base::RemoteAddr address, std::size_t limit) {
  std::array<char, kMaxText> room;
  const TextRead read =
      read_text(call_.memory, address, std::span{room}.first(std::min(limit, kMaxText)));
  if (!read.readable) return;
  const std::size_t kept = read.length + (read.ended ? 1 : 0);
  out_.add(address, std::as_bytes(std::span{room}.first(kept)));
}

void Capturer::argv(base::RemoteAddr address) {
  if (address.value() == 0) return;
  const std::size_t word = call_.layout.word_size();
  std::array<std::byte, kMaxArguments * sizeof(std::uint64_t)> room;
  const std::size_t count =
      call_.memory.read(address, std::span{room}.first(kMaxArguments * word)) / word;
  std::array<std::uint64_t, kMaxArguments> pointers{};
  std::size_t used = 0;
  for (; used < count; ++used) {
    std::memcpy(&pointers[used], room.data() + used * word, word);  // little-endian
    if (pointers[used] == 0) break;
  }
  const std::size_t kept = std::min(used + 1, count);
  // The array without what follows its end: that is the environment as a rule.
  if (kept > 0) out_.add(address, std::span{room}.first(kept * word));
  for (std::size_t i = 0; i < used; ++i) text(base::RemoteAddr{pointers[i]}, kMaxArgumentText);
}

void Capturer::buffer(base::RemoteAddr address, std::uint64_t size, std::size_t& budget) {
  if (address.value() == 0 || size == 0 || budget == 0) return;
  const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(size, budget));
  budget -= out_.capture(call_.memory, address, wanted);
}

void Capturer::whole_buffer(base::RemoteAddr address, std::uint64_t size) {
  std::size_t budget = std::min(options_.buffer_limit, kMaxBuffer);
  buffer(address, size, budget);
}

void Capturer::vector(base::RemoteAddr address, std::uint64_t count, std::uint64_t valid,
                      bool contents, std::size_t& budget) {
  if (address.value() == 0 || count == 0) return;
  std::array<KernelIovec, kMaxVector> room;
  const auto items = kept_items<KernelIovec>(address, count, room);
  if (!contents) return;
  for (const KernelIovec& item : items) {
    if (valid == 0 || budget == 0) return;
    const std::uint64_t size = std::min(item.length, valid);
    valid -= size;
    buffer(base::RemoteAddr{item.base}, size, budget);
  }
}

void Capturer::sockaddr(base::RemoteAddr address, std::uint64_t size) {
  if (address.value() == 0 || size < sizeof(std::uint16_t)) return;
  std::array<std::byte, kMaxSockaddr> room;
  const auto wanted =
      std::span{room}.first(static_cast<std::size_t>(std::min<std::uint64_t>(size, kMaxSockaddr)));
  std::size_t got = call_.memory.read(address, wanted);
  if (got < sizeof(std::uint16_t)) return;
  constexpr std::byte kAfUnix{1};
  // The path of a unix socket is a path: it follows the policy for paths.
  if (!keeps_texts() && room[0] == kAfUnix && room[1] == std::byte{0}) got = sizeof(std::uint16_t);
  out_.add(address, wanted.first(got));
}

void Capturer::message(const KernelMsghdr& header, std::uint64_t valid, bool contents,
                       std::size_t& budget) {
  sockaddr(base::RemoteAddr{header.name}, header.name_length);
  vector(base::RemoteAddr{header.iov}, header.iov_count, valid, contents, budget);
  array(base::RemoteAddr{header.control}, header.control_length, kMaxControl, 1);
}

void Capturer::one_message(base::RemoteAddr address, std::uint64_t valid, bool contents) {
  KernelMsghdr header;
  if (kept_items<KernelMsghdr>(address, 1, {&header, 1}).empty()) return;
  std::size_t budget = std::min(options_.buffer_limit, kMaxBuffer);
  message(header, valid, contents, budget);
}

void Capturer::messages(base::RemoteAddr address, std::uint64_t count, bool received) {
  if (address.value() == 0 || count == 0) return;
  std::array<KernelMmsghdr, kMaxMessages> room;
  std::size_t budget = std::min(options_.buffer_limit, kMaxBuffer);
  for (const KernelMmsghdr& item : kept_items<KernelMmsghdr>(address, count, room)) {
    message(item.header, received ? item.length : kEverything,
            received ? keeps_input() : keeps_output(), budget);
  }
}

void Capturer::clone_args(std::size_t index) {
  const std::uint64_t size = call_.arg(index + 1);
  if (size < kCloneArgsMinSize) return;
  array(call_.pointer(index), size, sizeof(KernelCloneArgs), 1);
}

void Capturer::pointee(std::size_t index, Pointee how, bool entering) {
  const base::RemoteAddr address = call_.pointer(index);
  switch (how) {
    case Pointee::kFlockIn:
      if (entering) bytes(address, flock_size(call_.layout, call_.int_arg(1)));
      return;
    case Pointee::kFlockInOut:
      bytes(address, flock_size(call_.layout, call_.int_arg(1)));
      return;
    case Pointee::kTermiosIn:
      if (entering) bytes(address, sizeof(KernelTermios));
      return;
    case Pointee::kTermiosOut:
      if (!entering) bytes(address, sizeof(KernelTermios));
      return;
    case Pointee::kWinsizeIn:
      if (entering) bytes(address, sizeof(KernelWinsize));
      return;
    case Pointee::kWinsizeOut:
      if (!entering) bytes(address, sizeof(KernelWinsize));
      return;
    case Pointee::kPidIn:
    case Pointee::kIntIn:
      if (entering) bytes(address, sizeof(std::int32_t));
      return;
    case Pointee::kPidOut:
    case Pointee::kIntOut:
      if (!entering) bytes(address, sizeof(std::int32_t));
      return;
    case Pointee::kText:
      if (entering && keeps_texts()) text(address, kTaskNameSize);
      return;
    case Pointee::kTextOut:
      if (!entering && keeps_texts()) text(address, kTaskNameSize);
      return;
    case Pointee::kNone:
    case Pointee::kPlain:
    case Pointee::kOther:
      return;
  }
}

std::uint64_t Capturer::length_behind(std::size_t index) {
  std::uint32_t length = 0;
  const base::RemoteAddr address = call_.pointer(index);
  if (address.value() == 0 || !call_.memory.read_value(address, length)) return 0;
  out_.add(address, std::as_bytes(std::span{&length, 1}));
  return length;
}

void Capturer::enter_argument(ArgKind kind, std::size_t index) {
  const base::RemoteAddr address = call_.pointer(index);
  const std::uint64_t next = call_.arg(index + 1);
  std::size_t budget = std::min(options_.buffer_limit, kMaxBuffer);
  switch (kind) {
    case ArgKind::kPath:
    case ArgKind::kStr:
      if (keeps_texts()) text(address, kMaxText);
      return;
    case ArgKind::kArgv:
      if (keeps_texts()) argv(address);
      return;
    case ArgKind::kBufIn:
      if (keeps_output()) whole_buffer(address, next);
      return;
    case ArgKind::kIov:
      return vector(address, next, kEverything, false, budget);
    case ArgKind::kIovIn:
      return vector(address, next, kEverything, keeps_output(), budget);
    case ArgKind::kMsgbufIn:
      bytes(address, call_.layout.word_size());
      if (keeps_input()) {
        whole_buffer(base::RemoteAddr{address.value() + call_.layout.word_size()}, next);
      }
      return;
    case ArgKind::kOpenHow:
      if (next >= sizeof(KernelOpenHow)) bytes(address, sizeof(KernelOpenHow));
      return;
    case ArgKind::kPollfds:
      return array(address, static_cast<std::uint32_t>(next), kMaxVector, sizeof(KernelPollfd));
    case ArgKind::kFdSet:
      return bytes(address, fd_set_size(call_.layout, call_.int_arg(0)));
    case ArgKind::kSockaddrIn:
      return sockaddr(address, static_cast<std::uint32_t>(next));
    case ArgKind::kMsghdrIn:
      return one_message(address, kEverything, keeps_output());
    case ArgKind::kMmsghdrIn:
      return messages(address, static_cast<std::uint32_t>(next), false);
    case ArgKind::kSockoptIn:
      return array(address, static_cast<std::uint32_t>(next), sizeof(KernelTimespec), 1);
    case ArgKind::kSigsetPack: {
      KernelSigsetPack pack;
      if (kept_items<KernelSigsetPack>(address, 1, {&pack, 1}).empty()) return;
      return bytes(base::RemoteAddr{pack.address}, sizeof(std::uint64_t));
    }
    case ArgKind::kCloneArgs:
      return clone_args(index);
    case ArgKind::kFutexTimeout:
      if (futex_takes_timeout(call_.int_arg(1))) {
        bytes(address, wire_size<KernelTimespec>(call_.layout));
      }
      return;
    case ArgKind::kFutexWaiters:
      return array(address,
                   call_.row.id == Sys::futex_requeue ? 2 : static_cast<std::uint32_t>(next),
                   kMaxFutexWaiters, sizeof(KernelFutexWaitv));
    case ArgKind::kSembufs:
      return array(address, static_cast<std::uint32_t>(next), kMaxSembufs, sizeof(KernelSembuf));
    case ArgKind::kFcntlArg:
      return pointee(index, fcntl_pointee(call_), true);
    case ArgKind::kIoctlArg:
      return pointee(index, ioctl_pointee(static_cast<std::uint32_t>(call_.arg(1))), true);
    case ArgKind::kPrctlArg:
      return pointee(index, prctl_pointee(call_.int_arg(0)), true);
    default:
      return bytes(address, fixed_input(call_, kind));
  }
}

void Capturer::exit_argument(ArgKind kind, std::size_t index) {
  const base::RemoteAddr address = call_.pointer(index);
  const std::uint64_t next = call_.arg(index + 1);
  const std::uint64_t count = call_.count();
  std::size_t budget = std::min(options_.buffer_limit, kMaxBuffer);
  switch (kind) {
    case ArgKind::kBufOut:
      if (keeps_input()) whole_buffer(address, std::min(count, next));
      return;
    case ArgKind::kPathOut:
      if (keeps_texts()) array(address, std::min(count, next), kMaxText, 1);
      return;
    case ArgKind::kIovOut:
      return vector(address, next, count, keeps_input(), budget);
    case ArgKind::kMsgbufOut:
      bytes(address, call_.layout.word_size());
      if (keeps_input()) {
        whole_buffer(base::RemoteAddr{address.value() + call_.layout.word_size()}, count);
      }
      return;
    case ArgKind::kPollfds:
      // revents; the kernel writes them back even when all are zero, which nobody needs. The sets
      // of select are left as they were at the entry: they say what was waited for.
      if (count == 0) return;
      return array(address, static_cast<std::uint32_t>(next), kMaxVector, sizeof(KernelPollfd));
    case ArgKind::kEpollEventsOut:
      return array(address, count, kMaxVector, call_.layout.epoll_event_size());
    case ArgKind::kSockaddrOut:
      return sockaddr(address, length_behind(index + 1));
    case ArgKind::kSockoptOut:
      return array(address, length_behind(index + 1), sizeof(KernelTimespec), 1);
    case ArgKind::kMsghdrOut:
      return one_message(address, count, keeps_input());
    case ArgKind::kMmsghdrOut:
      return messages(address, count, true);
    case ArgKind::kWaitStatusOut:
      if (count > 0) bytes(address, sizeof(std::int32_t));
      return;
    case ArgKind::kFcntlArg:
      if (const Pointee how = fcntl_pointee(call_); how == Pointee::kFlockInOut) {
        pointee(index, how, false);
      }
      return;
    case ArgKind::kIoctlArg:
      return pointee(index, ioctl_pointee(static_cast<std::uint32_t>(call_.arg(1))), false);
    case ArgKind::kPrctlArg:
      return pointee(index, prctl_pointee(call_.int_arg(0)), false);
    default:
      return bytes(address, fixed_output(call_, kind));
  }
}

void Capturer::enter() {
  for (std::size_t i = 0; i < call_.row.arg_count; ++i) enter_argument(call_.row.args[i].kind, i);
}

void Capturer::exit() {
  for (std::size_t i = 0; i < call_.row.arg_count; ++i) {
    const ArgKind kind = call_.row.args[i].kind;
    if (call_.succeeded()) {
      exit_argument(kind, i);
    } else if (kind == ArgKind::kTimespecRem) {
      bytes(call_.pointer(i), wire_size<KernelTimespec>(call_.layout));
    }
  }
}

}  // namespace

void capture_enter(const RawCall& raw, const RemoteMemory& tracee, const CaptureOptions& options,
                   CapturedMemory& out) {
  const SyscallRow* row = find_row(raw.abi, raw.number);
  if (row == nullptr) return;
  static constexpr std::optional<RawResult> kOpen;
  const Call call{.raw = raw, .row = *row, .result = kOpen, .memory = tracee};
  Capturer{call, options, out}.enter();
}

void capture_exit(const RawCall& raw, const RawResult& result, const RemoteMemory& tracee,
                  const CaptureOptions& options, CapturedMemory& out) {
  const SyscallRow* row = find_row(raw.abi, raw.number);
  if (row == nullptr) return;
  const std::optional<RawResult> done{result};
  const Call call{.raw = raw, .row = *row, .result = done, .memory = tracee};
  Capturer{call, options, out}.exit();
}

}  // namespace stucktrace::syscalls
