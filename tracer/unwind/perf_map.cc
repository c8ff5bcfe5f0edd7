#include "tracer/unwind/perf_map.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "tracer/base/unique_fd.h"
#include "tracer/kernel/procfs.h"

namespace stucktrace::unwind {
namespace {

constexpr std::size_t kMaxBytes = std::size_t{128} * 1024 * 1024;
// Code made anew may overlap what was there: how far back an older, longer function is looked for.
constexpr int kMaxOverlaps = 64;

std::optional<std::uint64_t> take_number(std::string_view& line) {
  if (line.starts_with("0x")) line.remove_prefix(2);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), value, 16);
  if (error != std::errc{} || end == line.data() + line.size() || *end != ' ') return std::nullopt;
  line.remove_prefix(static_cast<std::size_t>(end - line.data()) + 1);
  return value;
}

}  // namespace

PerfMap::PerfMap(std::string text) : text_(std::move(text)) {
  const std::string_view all = text_;
  for (std::size_t at = 0; at < all.size();) {
    const std::size_t end = std::min(all.find('\n', at), all.size());
    std::string_view line = all.substr(at, end - at);
    at = end + 1;
    const auto start = take_number(line);
    const auto size = start ? take_number(line) : std::nullopt;
    if (!size || *size == 0 || line.empty() || *start + *size < *start) continue;
    entries_.push_back({*start, *start + *size, static_cast<std::size_t>(line.data() - all.data()),
                        line.size(), entries_.size()});
  }
  std::ranges::sort(entries_, [](const Entry& a, const Entry& b) {
    return a.start != b.start ? a.start < b.start : a.order > b.order;
  });
  const auto doubles = std::ranges::unique(entries_, {}, &Entry::start);
  entries_.erase(doubles.begin(), doubles.end());
}

PerfMap PerfMap::of(base::Pid pid) {
  const auto status = kernel::Procfs().status(pid);
  if (!status || status->ns_pids.empty()) return {};
  const std::string path =
      fmt::format("/proc/{}/root/tmp/perf-{}.map", pid, status->ns_pids.back());
  const base::UniqueFd file{
      ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)};
  struct stat info{};
  struct stat process{};
  if (!file.valid() || ::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode) ||
      ::stat(fmt::format("/proc/{}", pid).c_str(), &process) != 0) {
    return {};
  }
  if (info.st_uid != process.st_uid && info.st_uid != 0) return {};
  if (info.st_size <= 0 || static_cast<std::size_t>(info.st_size) > kMaxBytes) return {};
  std::string text(static_cast<std::size_t>(info.st_size), '\0');
  std::size_t got = 0;
  while (got < text.size()) {
    const ssize_t count = ::read(file.get(), text.data() + got, text.size() - got);
    if (count <= 0) break;
    got += static_cast<std::size_t>(count);
  }
  text.resize(got);
  return PerfMap{std::move(text)};
}

std::optional<Symbol> PerfMap::find(std::uint64_t address) const {
  auto at = std::ranges::upper_bound(entries_, address, {}, &Entry::start);
  const Entry* newest = nullptr;
  for (int i = 0; i < kMaxOverlaps && at != entries_.begin(); ++i) {
    --at;
    if (address < at->end && (newest == nullptr || at->order > newest->order)) newest = &*at;
  }
  if (newest == nullptr) return std::nullopt;
  const std::string_view name = std::string_view(text_).substr(newest->name, newest->length);
  return Symbol{demangle(name), newest->start};
}

}  // namespace stucktrace::unwind
