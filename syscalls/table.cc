#include "syscalls/table.h"

#include <algorithm>
#include <initializer_list>

#include "syscalls/multiplexed.h"

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
constexpr SyscallRow kI386[] = {
#include "syscalls/table_i386.inc"
};
constexpr SyscallRow kAarch64[] = {
#include "syscalls/table_aarch64.inc"
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
template <std::size_t kNumbers, std::size_t kRows>
constexpr std::array<std::uint16_t, kNumbers> index_of(const SyscallRow (&rows)[kRows]) {
  std::array<std::uint16_t, kNumbers> index{};
  std::uint16_t at = 0;
  for (const SyscallRow& entry : rows) index[entry.number] = ++at;
  return index;
}
constexpr std::size_t kNumbers = 512;
constexpr auto kX86_64Index = index_of<kNumbers>(kX86_64);
constexpr auto kI386Index = index_of<static_cast<std::size_t>(kPartNumberEnd)>(kI386);
constexpr auto kAarch64Index = index_of<kNumbers>(kAarch64);

const SyscallRow* find_in(std::span<const SyscallRow> rows, std::span<const std::uint16_t> index,
                          std::int64_t number) {
  if (number < 0 || number >= static_cast<std::int64_t>(index.size())) return nullptr;
  const std::uint16_t at = index[static_cast<std::size_t>(number)];
  return at == 0 ? nullptr : &rows[at - 1U];
}

const SyscallRow* find_x32(std::int64_t number) {
  number &= ~kX32Bit;
  for (const X32Number& entry : kX32) {
    if (entry.number != number) continue;
    const auto* found = std::find_if(std::begin(kX86_64), std::end(kX86_64),
                                     [&](const SyscallRow& r) { return r.id == entry.id; });
    return found == std::end(kX86_64) ? nullptr : found;
  }
  return find_in(kX86_64, kX86_64Index, number);
}

}  // namespace

const SyscallRow* find_row(Abi abi, std::int64_t number) {
  switch (abi) {
    case Abi::kX86_64:
      return find_in(kX86_64, kX86_64Index, number);
    case Abi::kX32:
      return number < 0 ? nullptr : find_x32(number);
    case Abi::kI386:
      return find_in(kI386, kI386Index, number);
    case Abi::kAarch64:
      return find_in(kAarch64, kAarch64Index, number);
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
      return kI386;
    case Abi::kAarch64:
      return kAarch64;
    case Abi::kUnknown:
      return {};
  }
  return {};
}

std::int64_t kernel_number(Abi abi, const SyscallRow& row) {
  if (abi == Abi::kI386) return whole_number(row.number);
  if (abi != Abi::kX32) return row.number;
  const auto* own = std::ranges::find(kX32, row.id, &X32Number::id);
  return kX32Bit | (own == std::end(kX32) ? row.number : own->number);
}

std::string_view abi_name(Abi abi) {
  switch (abi) {
    case Abi::kX86_64:
      return "x86_64";
    case Abi::kI386:
      return "i386";
    case Abi::kX32:
      return "x32";
    case Abi::kAarch64:
      return "aarch64";
    case Abi::kUnknown:
      break;
  }
  return "unknown";
}

}  // namespace stucktrace::syscalls
