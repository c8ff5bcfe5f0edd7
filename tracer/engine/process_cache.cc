#include <algorithm>

#include "tracer/engine/wait_reader.h"

namespace stucktrace::engine {
namespace {

// Mappings come sorted and do not overlap.
const kernel::MapEntry* find_mapping(const std::vector<kernel::MapEntry>& maps,
                                     base::RemoteAddr address) {
  const auto after = std::ranges::upper_bound(maps, address.value(), {}, &kernel::MapEntry::start);
  if (after == maps.begin()) return nullptr;
  const kernel::MapEntry& before = *(after - 1);
  return address.value() < before.end ? &before : nullptr;
}

std::vector<base::Pid> read_children(const kernel::Procfs& procfs, base::Pid pid) {
  std::vector<base::Pid> result;
  bool listed = false;
  for (const base::Tid tid : procfs.tasks(pid).value_or(std::vector{base::main_thread(pid)})) {
    const auto children = procfs.children(pid, tid);
    if (!children) continue;
    listed = true;
    result.insert(result.end(), children->begin(), children->end());
  }
  if (!listed) {
    for (const base::Pid other : procfs.processes().value_or(std::vector<base::Pid>{})) {
      const auto stat = procfs.stat(other);
      if (stat && stat->parent == pid.value()) result.push_back(other);
    }
  }
  std::ranges::sort(result);
  result.erase(std::unique(result.begin(), result.end()), result.end());
  return result;
}

}  // namespace

const kernel::MapEntry* ProcessCache::mapping(base::Pid pid, base::RemoteAddr address) {
  auto& maps = maps_[pid];
  if (const auto* known = find_mapping(maps, address)) return known;
  maps = procfs_.maps(pid).value_or(std::vector<kernel::MapEntry>{});
  return find_mapping(maps, address);
}

const std::vector<base::Pid>& ProcessCache::children(base::Pid pid) {
  const auto [at, is_new] = children_.try_emplace(pid);
  if (is_new) at->second = read_children(procfs_, pid);
  return at->second;
}

// A tracer may have any thread of a process, without its main thread.
const std::vector<ProcessCache::Tracee>& ProcessCache::tracees() {
  if (tracees_) return *tracees_;
  auto& found = tracees_.emplace();
  for (const base::Pid pid : procfs_.processes().value_or(std::vector<base::Pid>{})) {
    for (const base::Tid tid : procfs_.tasks(pid).value_or(std::vector<base::Tid>{})) {
      const auto status = procfs_.status(pid, tid);
      if (status && status->tracer > 0) found.push_back({pid, base::Tid{status->tracer}});
    }
  }
  return found;
}

}  // namespace stucktrace::engine
