#include "syscalls/decode.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "syscalls/decode_parts.h"

namespace stucktrace::syscalls {
namespace {

constexpr std::int64_t kX32Bit = 0x40000000;

unsigned without_halves(const Call& call) {
  unsigned visible = ~0U;
  for (std::size_t i = 0; i < call.row.arg_count; ++i) {
    if (call.row.args[i].kind == ArgKind::kHalf) visible &= ~(1U << i);
  }
  return visible;
}

unsigned visible_arguments(const Call& call) {
  switch (call.row.id) {
    case Sys::futex:
      return futex_visible(call);
    case Sys::prctl:
      return prctl_visible(call);
    default:
      return io_visible(call);
  }
}

std::int64_t from_halves(std::uint64_t high, std::uint64_t low) {
  return static_cast<std::int64_t>(high << 32 | (low & 0xffffffffU));
}

// Kinds whose value is in the register itself.
std::optional<Value> decode_scalar(const Call& call, ArgKind kind, std::size_t index) {
  const std::uint64_t raw = call.arg(index);
  switch (kind) {
    case ArgKind::kRaw:
    case ArgKind::kHex:
      return Value{Hex{raw}};
    case ArgKind::kAddress:
    case ArgKind::kEnvp:
      return pointer_value(call.pointer(index));
    case ArgKind::kInt:
    case ArgKind::kTimeoutMs:
    case ArgKind::kId:
      return Value{Integer{static_cast<std::int32_t>(raw)}};
    case ArgKind::kUint:
      return Value{Unsigned{static_cast<std::uint32_t>(raw)}};
    case ArgKind::kLong:
    case ArgKind::kOffset:
      // The registers of an i386 call come without their upper halves; x32 has 64-bit registers.
      if (call.raw.abi == Abi::kI386) return Value{Integer{static_cast<std::int32_t>(raw)}};
      return Value{Integer{static_cast<std::int64_t>(raw)}};
    case ArgKind::kOffsetLow:
      return Value{Integer{from_halves(call.arg(index + 1), raw)}};
    case ArgKind::kOffsetHigh:
      return Value{Integer{from_halves(raw, call.arg(index + 1))}};
    case ArgKind::kSize:
      return Value{Unsigned{raw}};
    case ArgKind::kMode:
      return Value{Octal{raw & 0xffffU}};
    case ArgKind::kFd:
    case ArgKind::kMmapFd:
    case ArgKind::kDirfd:
      return fd_value(raw);
    case ArgKind::kPid:
      return Value{PidValue{static_cast<std::int32_t>(raw)}};
    case ArgKind::kSignal:
      return Value{Signal{static_cast<int>(raw)}};
    default:
      return std::nullopt;
  }
}

Value decode_argument(const Call& call, std::size_t index) {
  const ArgKind kind = call.row.args[index].kind;
  if (auto value = decode_scalar(call, kind, index)) return *std::move(value);
  using Family = std::optional<Value> (*)(const Call&, ArgKind, std::size_t);
  if (kind == ArgKind::kOpenFlags) return open_flags_value(call, call.arg(index));
  constexpr Family kFamilies[] = {decode_io,     decode_net,   decode_sync,   decode_time,
                                  decode_signal, decode_ioctl, decode_process};
  for (const Family family : kFamilies) {
    if (auto value = family(call, kind, index)) return *std::move(value);
  }
  if (const ConstantSet* set = constant_set(kind)) return named_value(*set, call.arg(index));
  return pointer_value(call.pointer(index));
}

std::optional<Value> decode_result(const Call& call) {
  if (!call.succeeded() || call.row.has(Trait::kNeverReturns)) return std::nullopt;
  const std::int64_t raw = call.result->value;
  switch (call.row.result) {
    case ArgKind::kFd:
      return Value{Fd{static_cast<int>(raw)}};
    case ArgKind::kPid:
      return Value{PidValue{static_cast<std::int32_t>(raw)}};
    case ArgKind::kAddress:
    case ArgKind::kHex:
      return Value{Hex{static_cast<std::uint64_t>(raw)}};
    case ArgKind::kMode:
      return Value{Octal{static_cast<std::uint64_t>(raw)}};
    case ArgKind::kFcntlResult:
      return fcntl_result(call);
    default:
      return Value{Integer{raw}};
  }
}

// An x32 call is one of a 64-bit program's under another number, so its name says so; a program of
// another ABI than ours is known by its own.
std::string_view abi_prefix(Abi abi) {
  return abi == Abi::kX32 ? "x32:" : "";
}

// A number no table has: six words, as the kernel would get them.
DecodedCall decode_unknown(const RawCall& call, const std::optional<RawResult>& result) {
  static constexpr std::array<std::string_view, 6> kNames = {"arg1", "arg2", "arg3",
                                                             "arg4", "arg5", "arg6"};
  DecodedCall out;
  const bool is_x32 = call.abi == Abi::kX32 && call.number >= 0;
  const std::int64_t number = is_x32 ? call.number & ~kX32Bit : call.number;
  out.name = number < 0 ? fmt::format("syscall_{:#x}", static_cast<std::uint64_t>(number))
                        : fmt::format("{}syscall_{}", abi_prefix(call.abi), number);
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    out.args.push_back({kNames[i], Value{Hex{call.args[i]}}});
  }
  if (result && !result->is_error) out.result = Value{Integer{result->value}};
  return out;
}

}  // namespace

DecodedCall decode(const RawCall& raw, const std::optional<RawResult>& result,
                   const RemoteMemory& memory) {
  const SyscallRow* row = find_row(raw.abi, raw.number);
  if (row == nullptr) return decode_unknown(raw, result);
  const Call call{.raw = raw, .row = *row, .result = result, .memory = memory};
  DecodedCall out;
  out.row = row;
  out.name = fmt::format("{}{}", abi_prefix(raw.abi), row->name);
  const unsigned visible = visible_arguments(call) & without_halves(call);
  for (std::size_t i = 0; i < row->arg_count; ++i) {
    if ((visible >> i & 1U) == 0) continue;
    out.args.push_back({row->args[i].name, decode_argument(call, i)});
  }
  out.result = decode_result(call);
  return out;
}

TextRead read_text(const RemoteMemory& memory, base::RemoteAddr address, std::span<char> out) {
  // Most strings are short: a first small read, then the rest in one.
  constexpr std::size_t kFirst = 256;
  TextRead text;
  if (address.value() == 0) return text;
  while (text.length < out.size()) {
    const std::size_t step =
        std::min(out.size() - text.length, text.length == 0 ? kFirst : out.size());
    const auto piece = out.subspan(text.length, step);
    const std::size_t got =
        memory.read(base::RemoteAddr{address.value() + text.length}, std::as_writable_bytes(piece));
    const auto valid = piece.first(got);
    const auto end = std::find(valid.begin(), valid.end(), '\0');
    text.length += static_cast<std::size_t>(end - valid.begin());
    text.readable = text.readable || got > 0;
    if (end != valid.end()) {
      text.ended = true;
      return text;
    }
    if (got < step) return text;
  }
  return text;
}

Value pointer_value(base::RemoteAddr address) {
  if (address.value() == 0) return Value{Null{}};
  return Value{Address{address}};
}

Value fd_value(std::uint64_t raw) {
  return Value{Fd{static_cast<int>(raw)}};
}

Value text_value(const RemoteMemory& memory, base::RemoteAddr address, std::size_t limit) {
  std::array<char, kMaxText> room;
  const TextRead text =
      read_text(memory, address, std::span{room}.first(std::min(limit, kMaxText)));
  if (!text.readable) return pointer_value(address);
  return Value{Text{std::string{room.data(), text.length}, !text.ended}};
}

Value buffer_value(const RemoteMemory& memory, base::RemoteAddr address, std::uint64_t valid,
                   std::size_t& budget) {
  if (address.value() == 0) return Value{Null{}};
  Buffer buffer;
  buffer.size = valid;
  buffer.bytes.resize(valid < budget ? static_cast<std::size_t>(valid) : budget);
  const std::size_t got = memory.read(address, std::as_writable_bytes(std::span{buffer.bytes}));
  buffer.bytes.resize(got);
  buffer.bytes.shrink_to_fit();
  budget -= got;
  return Value{std::move(buffer)};
}

Value named(NameSet set, std::uint64_t raw) {
  return named_value(constant_set(set), raw);
}

Value named(ArgKind kind, std::uint64_t raw) {
  const ConstantSet* set = constant_set(kind);
  return set == nullptr ? Value{Hex{raw}} : named_value(*set, raw);
}

Value open_flags_value(const Call& call, std::uint64_t raw) {
  const ConstantSet& set = *constant_set(ArgKind::kOpenFlags);
  if (call.raw.abi != Abi::kAarch64) return named_value(set, raw);
  struct Moved {
    std::uint64_t there;
    std::uint64_t here;
  };
  static constexpr Moved kMoved[] = {
      {040000, 0200000},   // O_DIRECTORY
      {0100000, 0400000},  // O_NOFOLLOW
      {0200000, 040000},   // O_DIRECT
      {0400000, 0100000},  // O_LARGEFILE
  };
  std::uint64_t flags = raw;
  for (const Moved& moved : kMoved) flags &= ~moved.there;
  for (const Moved& moved : kMoved) {
    if ((raw & moved.there) != 0) flags |= moved.here;
  }
  return Value{Flags{set.wide ? raw : (raw & 0xffffffffU), flags_text(set, flags)}};
}

Value one_of_array(Value item) {
  Array array;
  array.items.push_back(std::move(item));
  return Value{std::move(array)};
}

}  // namespace stucktrace::syscalls
