#include "tracer/engine/output_tail.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "tracer/base/unique_fd.h"

namespace stucktrace::engine {
namespace {

constexpr std::size_t kTail = 4096;

// O_PATH names the file without opening it, so that what is then opened is what was checked: the
// descriptor may become a pipe in between, and opening one of those is not harmless.
base::UniqueFd open_regular(const std::string& path, struct stat& info) {
  const base::UniqueFd name{::open(path.c_str(), O_PATH | O_CLOEXEC)};
  if (!name.valid() || ::fstat(name.get(), &info) != 0 || !S_ISREG(info.st_mode)) return {};
  const std::string again = fmt::format("/proc/self/fd/{}", name.get());
  constexpr int kFlags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  // O_NOATIME is for owners only (open(2)).
  base::UniqueFd file{::open(again.c_str(), kFlags | O_NOATIME)};
  if (!file.valid()) file.reset(::open(again.c_str(), kFlags));
  return file;
}

std::string last_line(std::string_view text) {
  while (text.ends_with('\n') || text.ends_with('\r')) text.remove_suffix(1);
  const std::size_t start = text.rfind('\n');
  return std::string{start == std::string_view::npos ? text : text.substr(start + 1)};
}

std::optional<std::string> tail_of(const std::string& path) {
  struct stat info{};
  const base::UniqueFd file = open_regular(path, info);
  if (!file.valid() || info.st_size <= 0) return std::nullopt;
  std::array<char, kTail> buffer;
  const off_t start = std::max<off_t>(0, info.st_size - static_cast<off_t>(buffer.size()));
  const ssize_t got = ::pread(file.get(), buffer.data(), buffer.size(), start);
  if (got <= 0) return std::nullopt;
  return last_line({buffer.data(), static_cast<std::size_t>(got)});
}

}  // namespace

std::vector<model::OutputTail> read_output_tails(const kernel::Procfs& procfs, base::Pid pid,
                                                 const std::vector<model::FdEntry>& fds) {
  std::vector<model::OutputTail> tails;
  for (const model::FdEntry& entry : fds) {
    const bool is_output = entry.fd == STDOUT_FILENO || entry.fd == STDERR_FILENO;
    if (!is_output || entry.resource.kind != model::ResourceKind::kRegularFile) continue;
    if (!model::writes(entry.mode)) continue;
    if (auto line = tail_of(procfs.path(fmt::format("{}/fd/{}", pid, entry.fd)))) {
      tails.push_back({entry.fd, entry.label, std::move(*line)});
    }
  }
  return tails;
}

}  // namespace stucktrace::engine
