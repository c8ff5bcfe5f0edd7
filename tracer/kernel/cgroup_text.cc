#include "tracer/kernel/cgroup_text.h"

#include <algorithm>

#include "tracer/kernel/text_scan.h"

namespace stucktrace::kernel {
namespace {

// The kernel writes blanks, tabs, line ends and backslashes of a path as \ooo (proc(5)).
std::string unescape(std::string_view word) {
  constexpr std::size_t kDigits = 3;
  std::string path;
  while (!word.empty()) {
    const auto code = word.front() == '\\' && word.size() > kDigits
                          ? to_number<unsigned char>(word.substr(1, kDigits), 8)
                          : std::nullopt;
    path.push_back(code ? static_cast<char>(*code) : word.front());
    word.remove_prefix(code ? 1 + kDigits : 1);
  }
  return path;
}

// The way from one group down to another; nullopt if that is not below it.
std::optional<std::string_view> below(std::string_view path, std::string_view top) {
  if (top == "/") return path == "/" ? std::string_view{} : path;
  if (!path.starts_with(top)) return std::nullopt;
  path.remove_prefix(top.size());
  if (!path.empty() && path.front() != '/') return std::nullopt;
  return path;
}

}  // namespace

std::optional<std::string> parse_cgroup(std::string_view text) {
  constexpr std::string_view kUnified = "0::";
  while (!text.empty()) {
    const std::string_view line = take_line(text);
    if (!line.starts_with(kUnified)) continue;
    const std::string_view path = line.substr(kUnified.size());
    const bool inside = path.starts_with('/') && path.find("/..") == std::string_view::npos;
    return inside ? std::optional{std::string{path}} : std::nullopt;
  }
  return std::nullopt;
}

std::optional<std::uint64_t> parse_flat_key(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    std::string_view line = take_line(text);
    std::uint64_t value = 0;
    if (take_word(line) == key && take_number(line, value)) return value;
  }
  return std::nullopt;
}

std::vector<base::Pid> parse_members(std::string_view text) {
  std::vector<base::Pid> members;
  while (!text.empty()) {
    const auto number = to_number<std::int32_t>(take_line(text));
    if (number && *number > 0) members.push_back(base::Pid{*number});
  }
  std::ranges::sort(members);
  return members;
}

std::vector<std::string> group_directories(std::string_view mountinfo, std::string_view path) {
  std::vector<std::string> found;
  while (!mountinfo.empty()) {
    std::string_view line = take_line(mountinfo);
    const std::size_t dash = line.find(" - ");
    if (dash == std::string_view::npos) continue;
    std::string_view type = line.substr(dash + 3);
    if (take_word(type) != "cgroup2") continue;
    line = line.substr(0, dash);
    for (int skipped = 0; skipped < 3; ++skipped) take_word(line);  // two numbers, the device
    const std::string top = unescape(take_word(line));
    const std::string mount = unescape(take_word(line));
    if (!top.starts_with('/') || !mount.starts_with('/')) continue;
    if (const auto rest = below(path, top)) found.push_back(mount + std::string(*rest));
  }
  std::ranges::reverse(found);
  return found;
}

}  // namespace stucktrace::kernel
