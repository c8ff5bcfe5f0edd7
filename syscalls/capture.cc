#include <algorithm>
#include <array>
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
  void clone_args(std::size_t index);
  void pointee(std::size_t index, Pointee how, bool entering);
  // Captures a socklen_t and says what it holds, 0 if unreadable.
  std::uint64_t length_behind(std::size_t index);

  const Call& call_;
  const CaptureOptions& options_;
  CapturedMemory& out_;
};

// Structures of one size, read at the entry; 0: the kind is none.
std::size_t fixed_input(ArgKind kind) {
  switch (kind) {
    case ArgKind::kOffsetPtr:
    case ArgKind::kSigsetIn:
      return sizeof(std::uint64_t);
    case ArgKind::kEpollEventIn:
      return kEpollEventSize;
    case ArgKind::kTimespecIn:
    case ArgKind::kTimevalIn:
      return sizeof(KernelTimespec);
    case ArgKind::kTimespecPairIn:
      return 2 * sizeof(KernelTimespec);
    case ArgKind::kItimerspecIn:
    case ArgKind::kItimervalIn:
      return sizeof(KernelItimer);
    case ArgKind::kSigactionIn:
      return sizeof(KernelSigaction);
    case ArgKind::kSiginfoIn:
      return sizeof(KernelSiginfo);
    case ArgKind::kRlimitIn:
      return sizeof(KernelRlimit);
    case ArgKind::kMqAttrIn:
      return sizeof(KernelMqAttr);
    default:
      return 0;
  }
}

// The same at the exit of a call that succeeded.
std::size_t fixed_output(ArgKind kind) {
  switch (kind) {
    case ArgKind::kUintPtrOut:
      return sizeof(std::uint32_t);
    case ArgKind::kFdPairOut:
    case ArgKind::kSigsetOut:
      return sizeof(std::uint64_t);
    case ArgKind::kTimespecOut:
    case ArgKind::kTimevalOut:
      return sizeof(KernelTimespec);
    case ArgKind::kItimerspecOut:
    case ArgKind::kItimervalOut:
      return sizeof(KernelItimer);
    case ArgKind::kSigactionOut:
      return sizeof(KernelSigaction);
    case ArgKind::kSiginfoOut:
      return sizeof(KernelSiginfo);
    case ArgKind::kRlimitOut:
      return sizeof(KernelRlimit);
    case ArgKind::kMqAttrOut:
      return sizeof(KernelMqAttr);
    default:
      return 0;
  }
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
  std::array<std::uint64_t, kMaxArguments> pointers;
  const auto room = std::as_writable_bytes(std::span{pointers});
  const std::size_t count = call_.memory.read(address, room) / sizeof(std::uint64_t);
  std::size_t used = 0;
  while (used < count && pointers[used] != 0) ++used;
  const std::size_t kept = std::min(used + 1, count);
  // The array without what follows its end: that is the environment as a rule.
  if (kept > 0) out_.add(address, room.first(kept * sizeof(std::uint64_t)));
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
  std::array<KernelIovec, kMaxVector> items;
  const auto room =
      std::as_writable_bytes(std::span{items})
          .first(static_cast<std::size_t>(std::min<std::uint64_t>(count, kMaxVector)) *
                 sizeof(KernelIovec));
  const std::size_t got = call_.memory.read(address, room) / sizeof(KernelIovec);
  if (got == 0) return;
  out_.add(address, room.first(got * sizeof(KernelIovec)));
  if (!contents) return;
  for (std::size_t i = 0; i < got && valid > 0 && budget > 0; ++i) {
    const std::uint64_t size = std::min(items[i].length, valid);
    valid -= size;
    buffer(base::RemoteAddr{items[i].base}, size, budget);
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
  if (address.value() == 0 || !call_.memory.read_value(address, header)) return;
  out_.add(address, std::as_bytes(std::span{&header, 1}));
  std::size_t budget = std::min(options_.buffer_limit, kMaxBuffer);
  message(header, valid, contents, budget);
}

void Capturer::messages(base::RemoteAddr address, std::uint64_t count, bool received) {
  if (address.value() == 0 || count == 0) return;
  std::array<KernelMmsghdr, kMaxMessages> items;
  const auto room =
      std::as_writable_bytes(std::span{items})
          .first(static_cast<std::size_t>(std::min<std::uint64_t>(count, kMaxMessages)) *
                 sizeof(KernelMmsghdr));
  const std::size_t got = call_.memory.read(address, room) / sizeof(KernelMmsghdr);
  if (got == 0) return;
  out_.add(address, room.first(got * sizeof(KernelMmsghdr)));
  std::size_t budget = std::min(options_.buffer_limit, kMaxBuffer);
  for (std::size_t i = 0; i < got; ++i) {
    message(items[i].header, received ? items[i].length : kEverything,
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
      if (entering) bytes(address, sizeof(KernelFlock));
      return;
    case Pointee::kFlockInOut:
      bytes(address, sizeof(KernelFlock));
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
      bytes(address, sizeof(std::int64_t));
      if (keeps_input()) {
        whole_buffer(base::RemoteAddr{address.value() + sizeof(std::int64_t)}, next);
      }
      return;
    case ArgKind::kOpenHow:
      if (next >= sizeof(KernelOpenHow)) bytes(address, sizeof(KernelOpenHow));
      return;
    case ArgKind::kPollfds:
      return array(address, static_cast<std::uint32_t>(next), kMaxVector, sizeof(KernelPollfd));
    case ArgKind::kFdSet:
      if (const int bits = call_.int_arg(0); bits > 0) {
        array(address, (static_cast<std::uint64_t>(bits) + 63) / 64,
              kMaxFdSetBytes / sizeof(std::uint64_t), sizeof(std::uint64_t));
      }
      return;
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
      if (address.value() == 0 || !call_.memory.read_value(address, pack)) return;
      out_.add(address, std::as_bytes(std::span{&pack, 1}));
      return bytes(base::RemoteAddr{pack.address}, sizeof(std::uint64_t));
    }
    case ArgKind::kCloneArgs:
      return clone_args(index);
    case ArgKind::kFutexTimeout:
      if (futex_takes_timeout(call_.int_arg(1))) bytes(address, sizeof(KernelTimespec));
      return;
    case ArgKind::kFutexWaiters:
      return array(address,
                   call_.row.id == Sys::futex_requeue ? 2 : static_cast<std::uint32_t>(next),
                   kMaxFutexWaiters, sizeof(KernelFutexWaitv));
    case ArgKind::kSembufs:
      return array(address, static_cast<std::uint32_t>(next), kMaxSembufs, sizeof(KernelSembuf));
    case ArgKind::kFcntlArg:
      return pointee(index, fcntl_pointee(call_.int_arg(1)), true);
    case ArgKind::kIoctlArg:
      return pointee(index, ioctl_pointee(static_cast<std::uint32_t>(call_.arg(1))), true);
    case ArgKind::kPrctlArg:
      return pointee(index, prctl_pointee(call_.int_arg(0)), true);
    default:
      return bytes(address, fixed_input(kind));
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
      bytes(address, sizeof(std::int64_t));
      if (keeps_input()) {
        whole_buffer(base::RemoteAddr{address.value() + sizeof(std::int64_t)}, count);
      }
      return;
    case ArgKind::kPollfds:
      // revents; the kernel writes them back even when all are zero, which nobody needs. The sets
      // of select are left as they were at the entry: they say what was waited for.
      if (count == 0) return;
      return array(address, static_cast<std::uint32_t>(next), kMaxVector, sizeof(KernelPollfd));
    case ArgKind::kEpollEventsOut:
      return array(address, count, kMaxVector, kEpollEventSize);
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
      if (const Pointee how = fcntl_pointee(call_.int_arg(1)); how == Pointee::kFlockInOut) {
        pointee(index, how, false);
      }
      return;
    case ArgKind::kIoctlArg:
      return pointee(index, ioctl_pointee(static_cast<std::uint32_t>(call_.arg(1))), false);
    case ArgKind::kPrctlArg:
      return pointee(index, prctl_pointee(call_.int_arg(0)), false);
    default:
      return bytes(address, fixed_output(kind));
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
      bytes(call_.pointer(i), sizeof(KernelTimespec));
    }
  }
}

}  // namespace

void capture_enter(const RawCall& raw, const RemoteMemory& tracee, const CaptureOptions& options,
                   CapturedMemory& out) {
  const SyscallRow* row = find_row(raw.abi, raw.number);
  if (row == nullptr || !has_native_layout(raw)) return;
  static constexpr std::optional<RawResult> kOpen;
  const Call call{raw, *row, kOpen, tracee};
  Capturer{call, options, out}.enter();
}

void capture_exit(const RawCall& raw, const RawResult& result, const RemoteMemory& tracee,
                  const CaptureOptions& options, CapturedMemory& out) {
  const SyscallRow* row = find_row(raw.abi, raw.number);
  if (row == nullptr || !has_native_layout(raw)) return;
  const std::optional<RawResult> done{result};
  const Call call{raw, *row, done, tracee};
  Capturer{call, options, out}.exit();
}

}  // namespace stucktrace::syscalls
