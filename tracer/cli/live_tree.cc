#include "tracer/cli/live_tree.h"

#include <algorithm>
#include <variant>

namespace stucktrace::cli {

void LiveTree::observe(const model::Event& event) {
  const bool main = event.tid == base::main_thread(event.pid);
  if (const auto* seen = std::get_if<model::TaskSeen>(&event.data)) {
    if (main) parents_[event.pid] = seen->parent;
  } else if (std::holds_alternative<model::TaskExit>(event.data) ||
             std::holds_alternative<model::Detached>(event.data)) {
    // A main thread's end is told when the last thread has ended (ptrace(2)).
    if (main) parents_.erase(event.pid);
  }
}

std::vector<base::Pid> LiveTree::tops() const {
  std::vector<base::Pid> tops;
  for (const auto& [pid, parent] : parents_) {
    if (!parents_.contains(parent)) tops.push_back(pid);
  }
  std::ranges::sort(tops);
  return tops;
}

}  // namespace stucktrace::cli
