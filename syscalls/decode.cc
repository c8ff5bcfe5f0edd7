#include "syscalls/decode.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "syscalls/decode_parts.h"

namespace stucktrace::syscalls {
namespace {

constexpr std::int64_t kX32Bit = 0x40000000;
constexpr std::int64_t kFirstX32Number = 512;

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
      return Value{Integer{static_cast<std::int64_t>(raw)}};
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
  if (has_native_layout(call.raw)) {
    constexpr Family kFamilies[] = {decode_io,     decode_net,   decode_sync,   decode_time,
                                    decode_signal, decode_ioctl, decode_process};
    for (const Family family : kFamilies) {
      if (auto value = family(call, kind, index)) return *std::move(value);
    }
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

// A number no table has: six words, as the kernel would get them.
DecodedCall decode_unknown(const RawCall& call, const std::optional<RawResult>& result) {
  static constexpr std::array<std::string_view, 6> kNames = {"arg1", "arg2", "arg3",
                                                             "arg4", "arg5", "arg6"};
  DecodedCall out;
  out.name = call.number < 0 ? fmt::format("syscall_{:#x}", static_cast<std::uint64_t>(call.number))
                             : fmt::format("syscall_{}", call.number);
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
  const Call call{raw, *row, result, memory};
  DecodedCall out;
  out.row = row;
  out.name = row->name;
  const unsigned visible = visible_arguments(call);
  for (std::size_t i = 0; i < row->arg_count; ++i) {
    if ((visible >> i & 1U) == 0) continue;
    out.args.push_back({row->args[i].name, decode_argument(call, i)});
  }
  out.result = decode_result(call);
  return out;
}

bool has_native_layout(const RawCall& call) {
  if (call.abi == Abi::kX86_64) return true;
  return call.abi == Abi::kX32 && (call.number & ~kX32Bit) < kFirstX32Number;
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

Value one_of_array(Value item) {
  Array array;
  array.items.push_back(std::move(item));
  return Value{std::move(array)};
}

}  // namespace stucktrace::syscalls
