#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "syscalls/table.h"
#include "syscalls/value.h"

namespace stucktrace::syscalls {

// One named constant. It is part of a word if the word's bits under `mask` equal `value`.
struct Constant {
  std::uint64_t mask = 0;
  std::uint64_t value = 0;
  std::string_view name;
};

// The three shapes the data files in flags/ use.
constexpr Constant flag(std::uint64_t bits, std::string_view name) {
  return {bits, bits, name};
}
constexpr Constant field(std::uint64_t mask, std::uint64_t value, std::string_view name) {
  return {mask, value, name};
}
constexpr Constant symbol(std::int64_t value, std::string_view name) {
  return {~std::uint64_t{0}, static_cast<std::uint64_t>(value), name};
}

// A set of constants that name one argument.
struct ConstantSet {
  std::span<const Constant> constants;
  bool combines = false;  // flags that are or'ed; else exactly one constant
  bool wide = false;      // all 64 bits count; else the kernel looks at the low 32 alone
};

// Sets that are not the meaning of one argument kind: parts of structures, options of options.
enum class NameSet : std::uint8_t {
  kResolve,
  kLockType,
  kFdFlags,
  kSeals,
  kIpProtocol,
  kNetlinkProtocol,
  kSoOption,
  kTcpOption,
  kIpOption,
  kIpv6Option,
  kCmsgType,
  kPollEvents,
  kEpollEvents,
  kSigactionFlags,
  kSiCode,
  kSiCodeChild,
  kSemFlags,
  kMsgCmd,
  kIoctl,
};

const ConstantSet& constant_set(NameSet set);
// nullptr if the kind is not a set of constants.
const ConstantSet* constant_set(ArgKind kind);

// "O_RDWR|O_CLOEXEC|0x80000000"; "" for 0 without a name.
std::string flags_text(const ConstantSet& set, std::uint64_t raw);
// "SEEK_END", "" if unknown.
std::string_view symbol_name(const ConstantSet& set, std::int64_t raw);
// Flags or Symbol, as the set says; an unknown symbol is its number.
Value named_value(const ConstantSet& set, std::uint64_t raw);

}  // namespace stucktrace::syscalls
