#include "syscalls/table.h"

#include <algorithm>
#include <initializer_list>

namespace stucktrace::syscalls {
namespace {

constexpr std::uint32_t bit(CallClass c) {
  return static_cast<std::uint32_t>(c);
}
constexpr std::uint8_t bit(Trait trait) {
  return static_cast<std::uint8_t>(trait);
}

constexpr SyscallRow row(std::uint16_t number, Sys id, std::string_view name, std::uint32_t classes,
                         int traits, ArgKind result, std::initializer_list<ArgSpec> args) {
  SyscallRow out;
  out.number = number;
  out.id = id;
  out.name = name;
  out.arg_count = static_cast<std::uint8_t>(args.size());
  std::copy(args.begin(), args.end(), out.args.begin());
  out.classes = classes;
  out.traits = static_cast<std::uint8_t>(traits);
  out.result = result;
  return out;
}

// clang-format off
constexpr SyscallRow kX86_64[] = {
#include "syscalls/table_x86_64.inc"
};

struct X32Number {
  std::uint16_t number;
  Sys id;
};
constexpr X32Number kX32[] = {
#include "syscalls/x32_numbers.inc"
};
// clang-format on

constexpr std::int64_t kX32Bit = 0x40000000;

// Position + 1 of each number in a table, 0 for holes: a look-up is one load.
constexpr std::size_t kNumbers = 512;
constexpr auto kX86_64Index = [] {
  std::array<std::uint16_t, kNumbers> index{};
  std::uint16_t at = 0;
  for (const SyscallRow& entry : kX86_64) index[entry.number] = ++at;
  return index;
}();

const SyscallRow* find_x86_64(std::int64_t number) {
  if (number < 0 || number >= static_cast<std::int64_t>(kNumbers)) return nullptr;
  const std::uint16_t at = kX86_64Index[static_cast<std::size_t>(number)];
  return at == 0 ? nullptr : &kX86_64[at - 1];
}

const SyscallRow* find_x32(std::int64_t number) {
  number &= ~kX32Bit;
  for (const X32Number& entry : kX32) {
    if (entry.number != number) continue;
    const auto* found = std::find_if(std::begin(kX86_64), std::end(kX86_64),
                                     [&](const SyscallRow& r) { return r.id == entry.id; });
    return found == std::end(kX86_64) ? nullptr : found;
  }
  return find_x86_64(number);
}

}  // namespace

const SyscallRow* find_row(Abi abi, std::int64_t number) {
  switch (abi) {
    case Abi::kX86_64:
      return find_x86_64(number);
    case Abi::kX32:
      return number < 0 ? nullptr : find_x32(number);
    case Abi::kI386:
    case Abi::kUnknown:
      return nullptr;
  }
  return nullptr;
}

const SyscallRow* find_row(Abi abi, std::string_view name) {
  for (const SyscallRow& entry : all_rows(abi)) {
    if (entry.name == name) return &entry;
  }
  return nullptr;
}

std::span<const SyscallRow> all_rows(Abi abi) {
  switch (abi) {
    case Abi::kX86_64:
    case Abi::kX32:
      return kX86_64;
    case Abi::kI386:
    case Abi::kUnknown:
      return {};
  }
  return {};
}

std::string_view abi_name(Abi abi) {
  switch (abi) {
    case Abi::kX86_64:
      return "x86_64";
    case Abi::kI386:
      return "i386";
    case Abi::kX32:
      return "x32";
    case Abi::kUnknown:
      break;
  }
  return "unknown";
}

}  // namespace stucktrace::syscalls
