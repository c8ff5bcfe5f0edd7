#include "tracer/unwind/python_version.h"

#include <fmt/format.h>

#include "tracer/base/bytes.h"

namespace stucktrace::unwind {
namespace {

bool is_digit(char byte) {
  return byte >= '0' && byte <= '9';
}

// Cuts a number of at most two digits off the front; -1 = none.
int take_number(std::string_view& text) {
  int value = -1;
  for (int digits = 0; digits < 2 && !text.empty() && is_digit(text.front()); ++digits) {
    value = (value < 0 ? 0 : value * 10) + (text.front() - '0');
    text.remove_prefix(1);
  }
  return value;
}

bool take_dot(std::string_view& text) {
  if (!text.starts_with('.')) return false;
  text.remove_prefix(1);
  return true;
}

bool plausible(int major, int minor) {
  return (major == 2 && minor >= 0 && minor <= 7) || (major == 3 && minor >= 0);
}

// A whole sys.version at the front of `text`: number, build in parentheses, compiler in brackets.
std::optional<PythonVersion> version_here(std::string_view text) {
  constexpr std::size_t kLongestBuild = 100, kLongestSuffix = 16;
  std::string_view rest = text;
  PythonVersion version;
  version.major = take_number(rest);
  if (!take_dot(rest)) return std::nullopt;
  version.minor = take_number(rest);
  if (!plausible(version.major, version.minor) || !take_dot(rest)) return std::nullopt;
  if (take_number(rest) < 0) return std::nullopt;
  const std::size_t space = rest.find(" (");
  if (space > kLongestSuffix) return std::nullopt;
  const std::string_view suffix = rest.substr(0, space);
  for (const char byte : suffix) {
    const bool allowed = is_digit(byte) || (byte >= 'a' && byte <= 'z') || byte == '+';
    if (!allowed) return std::nullopt;
  }
  const std::size_t build_end = rest.substr(space).find(") ");
  if (build_end > kLongestBuild) return std::nullopt;
  version.text = text.substr(0, text.size() - rest.size() + space);
  return version;
}

}  // namespace

std::optional<PythonVersion> python_version_from_hex(std::uint32_t value) {
  PythonVersion version;
  version.major = static_cast<int>(value >> 24);
  version.minor = static_cast<int>((value >> 16) & 0xff);
  if (!plausible(version.major, version.minor)) return std::nullopt;
  version.text = fmt::format("{}.{}.{}", version.major, version.minor, (value >> 8) & 0xff);
  const std::uint32_t level = (value >> 4) & 15, serial = value & 15;
  switch (level) {
    case 0xa:
      version.text += fmt::format("a{}", serial);
      break;
    case 0xb:
      version.text += fmt::format("b{}", serial);
      break;
    case 0xc:
      version.text += fmt::format("rc{}", serial);
      break;
    case 0xf:
      break;
    default:
      return std::nullopt;
  }
  return version;
}

std::optional<PythonVersion> find_python_version_text(std::span<const std::byte> memory) {
  const std::string_view text = base::as_text(memory);
  for (std::size_t at = text.find(" ("); at != std::string_view::npos;
       at = text.find(" (", at + 1)) {
    std::size_t start = at;
    while (start > 0 && text[start - 1] != '\0' && at - start < 32) --start;
    if (const auto version = version_here(text.substr(start))) return version;
  }
  return std::nullopt;
}

std::optional<PythonVersion> python_version_from_path(std::string_view path) {
  std::string_view name = path.substr(path.rfind('/') + 1);
  constexpr std::string_view kMark = "python";
  const std::size_t mark = name.find(kMark);
  if (mark == std::string_view::npos) return std::nullopt;
  name.remove_prefix(mark + kMark.size());
  PythonVersion version;
  version.major = take_number(name);
  if (!take_dot(name)) return std::nullopt;
  version.minor = take_number(name);
  if (!plausible(version.major, version.minor)) return std::nullopt;
  version.text = fmt::format("{}.{}", version.major, version.minor);
  return version;
}

}  // namespace stucktrace::unwind
