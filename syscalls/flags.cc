#include "syscalls/flags.h"

#include <fmt/format.h>

namespace stucktrace::syscalls {
namespace {

// The bits the kernel looks at; a narrow symbol is an int.
std::uint64_t significant(const ConstantSet& set, std::uint64_t raw) {
  if (set.wide) return raw;
  if (set.combines) return raw & 0xffffffffU;
  return static_cast<std::uint64_t>(static_cast<std::int64_t>(static_cast<std::int32_t>(raw)));
}

}  // namespace

std::string flags_text(const ConstantSet& set, std::uint64_t raw) {
  std::uint64_t rest = significant(set, raw);
  std::uint64_t named = 0;
  std::string text;
  const auto append = [&text](std::string_view name) {
    if (!text.empty()) text += '|';
    text += name;
  };
  for (const Constant& constant : set.constants) {
    if ((named & constant.mask) != 0 || (rest & constant.mask) != constant.value) continue;
    append(constant.name);
    named |= constant.mask;
    rest &= ~constant.mask;
  }
  if (rest != 0) append(fmt::format("{:#x}", rest));
  return text;
}

std::string_view symbol_name(const ConstantSet& set, std::int64_t raw) {
  const std::uint64_t wanted = significant(set, static_cast<std::uint64_t>(raw));
  for (const Constant& constant : set.constants) {
    // Numbers above INT_MAX are written unsigned in the data: compare what the kernel compares.
    if (set.wide ? constant.value == wanted
                 : static_cast<std::uint32_t>(constant.value) == static_cast<std::uint32_t>(wanted))
      return constant.name;
  }
  return {};
}

Value named_value(const ConstantSet& set, std::uint64_t raw) {
  if (set.combines) {
    return Value{Flags{set.wide ? raw : (raw & 0xffffffffU), flags_text(set, raw)}};
  }
  const std::int64_t number = static_cast<std::int64_t>(significant(set, raw));
  return Value{Symbol{number, std::string{symbol_name(set, number)}}};
}

}  // namespace stucktrace::syscalls
