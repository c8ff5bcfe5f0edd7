#include <fmt/format.h>

#include <algorithm>

#include "tracer/diagnose/rules/rules.h"
#include "tracer/diagnose/story.h"

namespace stucktrace::diagnose::rules {
namespace {

const model::OnLock* inherited(const Node& node) {
  if (node.wait.on.size() != 1 || node.moves()) return nullptr;
  const auto* lock = std::get_if<model::OnLock>(&node.wait.on.front());
  const bool kept = lock != nullptr && lock->taken_by_gone && !lock->owners.empty();
  return kept ? lock : nullptr;
}

// Who has it by inheritance came after the process that took it. A shell that opened the file and
// let flock(1) lock it was there before: the lock is its own. When a process that has ended was
// started is nowhere to be read; numbers are given in ascending order until they wrap.
bool came_before(base::Pid keeper, base::Pid taker) {
  return keeper < taker;
}

// It goes on with what it does, or will: an heir that knows nothing of the lock is at rest.
bool is_at_work(const RuleContext& context, NodeIndex index) {
  const Node& node = context.graph[index];
  const Demand demand = demand_of(context.graph, index);
  return node.moves() || demand == Demand::kNap || demand == Demand::kCompletion;
}

}  // namespace

// A lock on an open file (flock(2), F_OFD_SETLK) lives as long as any copy of the descriptor. Who
// took this one is gone; what keeps it is a process that inherited the descriptor, most likely
// without knowing, and that now waits for something else.
std::vector<Draft> inherited_lock(const RuleContext& context) {
  std::vector<Draft> drafts;
  for (NodeIndex index = 0; index < context.graph.size(); ++index) {
    const Node& node = context.graph[index];
    const model::OnLock* lock = inherited(node);
    if (lock == nullptr) continue;
    std::vector<const model::Process*> keepers;
    bool idle = true;
    for (const base::Pid pid : lock->owners) {
      const model::Process* process = context.samples.now.find(pid);
      idle = idle && process != nullptr && pid != node.pid() &&
             !came_before(pid, *lock->taken_by_gone) &&
             std::ranges::none_of(context.graph.threads_of(pid),
                                  [&](NodeIndex other) { return is_at_work(context, other); });
      if (process != nullptr) keepers.push_back(process);
    }
    const auto duration = waited(context.samples, node);
    if (!idle || (duration && *duration < context.stuck_after)) continue;

    Case found;
    found.lead = index;
    found.core = {index};
    found.closure = {index};
    found.doubts = strength_of(context.graph, context.samples, {index}).doubts;
    found.doubts.push_back(
        "that the process which inherited the descriptor does not know of the lock is inferred: "
        "who "
        "took it has ended");
    Draft draft{start_finding(context, "inherited-lock", found), found.core};
    model::Finding& finding = draft.finding;
    finding.resource = lock->file;
    finding.headline = fmt::format(
        "{} waits{} for a file lock that process {} took and left behind: {} still {} it open",
        who(node), for_how_long(context, index), *lock->taken_by_gone, list_processes(keepers),
        keepers.size() > 1 ? "have" : "has");
    finding.explanation = {
        fmt::format("{} {}.", who(node), what(context, index)),
        fmt::format("The lock belongs to the open file. Process {} took it and has ended; {} "
                    "inherited the descriptor, so that the lock is still held.",
                    *lock->taken_by_gone, list_processes(keepers))};
    finding.evidence.push_back(fmt::format("lock on {}: {}, taken by process {} (fdinfo)",
                                           model::to_string(lock->file), lock->description,
                                           *lock->taken_by_gone));
    finding.remedy =
        "Open lock files close-on-exec (O_CLOEXEC; in a shell start the background program with "
        "the descriptor closed, 9>&-), or release the lock before starting it.";
    drafts.push_back(std::move(draft));
  }
  return drafts;
}

}  // namespace stucktrace::diagnose::rules
