#include "tracer/engine/cgroup_reader.h"

#include <fmt/format.h>

#include <string_view>
#include <utility>

#include "tracer/kernel/cgroup_text.h"

namespace stucktrace::engine {
namespace {

// The kernel's own limit of depth is unset; paths deeper than this come from nothing sane.
constexpr int kMaxDepth = 64;
constexpr std::size_t kMaxText = 64U << 10U;

}  // namespace

void CgroupReader::begin() {
  before_ = std::exchange(now_, {});
}

const CgroupReader::Group& CgroupReader::group(const std::string& path) {
  const auto [at, is_new] = now_.try_emplace(path);
  Group& found = at->second;
  if (!is_new) return found;
  const kernel::Procfs files{root_};  // the same bounded reads, below another root
  // Frozen from above counts here too; the quota of each group on the way does.
  if (const auto events = files.text(path + "/cgroup.events", kMaxText)) {
    found.frozen = kernel::parse_flat_key(*events, "frozen").value_or(0) == 1;
  }
  std::string_view left = path;
  for (int depth = 0; left.size() > 1 && depth < kMaxDepth; ++depth) {
    const auto stat = files.text(fmt::format("{}/cpu.stat", left), kMaxText);
    const auto throttled = stat ? kernel::parse_flat_key(*stat, "throttled_usec") : std::nullopt;
    if (throttled) found.throttled_us = found.throttled_us.value_or(0) + *throttled;
    left = left.substr(0, left.rfind('/'));
  }
  return found;
}

void CgroupReader::fill(const kernel::Procfs& procfs, model::Process& process) {
  const auto text = procfs.text(fmt::format("{}/cgroup", process.pid), kMaxText);
  const auto path = text ? kernel::parse_cgroup(*text) : std::nullopt;
  if (!path) return;
  const Group& now = group(*path);
  process.frozen = now.frozen;
  const auto before = before_.find(*path);
  process.cpu_starved = before != before_.end() && before->second.throttled_us &&
                        now.throttled_us > before->second.throttled_us;
}

}  // namespace stucktrace::engine
