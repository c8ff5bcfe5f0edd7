#include <fmt/format.h>

#include <algorithm>

#include "tracer/diagnose/rules/rules.h"
#include "tracer/diagnose/story.h"

namespace stucktrace::diagnose::rules {
namespace {

const model::OnLock* lock_of(const Node& node) {
  return node.wait.on.size() == 1 ? std::get_if<model::OnLock>(&node.wait.on.front()) : nullptr;
}

}  // namespace

// A circle through a file lock. The kernel finds circles of POSIX locks alone (EDEADLK), never
// those with flock(2), OFD locks, pipes or children in them.
std::vector<Draft> file_lock(const RuleContext& context) {
  std::vector<Draft> drafts;
  for (const Case& found : context.cases.cases) {
    const auto waiter = std::ranges::find_if(
        found.cycle, [&](NodeIndex index) { return lock_of(context.graph[index]) != nullptr; });
    if (waiter == found.cycle.end()) continue;
    Case from_waiter = found;
    std::ranges::rotate(from_waiter.cycle,
                        from_waiter.cycle.begin() + (waiter - found.cycle.begin()));
    from_waiter.lead = *waiter;
    Draft draft{start_finding(context, "file-lock", from_waiter), found.core};
    model::Finding& finding = draft.finding;
    const Node& node = context.graph[*waiter];
    const model::OnLock& lock = *lock_of(node);
    finding.resource = lock.file;
    std::vector<const model::Process*> owners;
    for (const base::Pid owner : lock.owners) {
      // The waiter has a lock that was taken before it as well if it inherited the descriptor.
      if (owner == node.pid() && lock.owners.size() > 1) continue;
      if (const model::Process* process = context.samples.now.find(owner)) {
        owners.push_back(process);
      }
    }
    finding.headline = fmt::format(
        "{} waits{} for a file lock that {} — which in turn {} for it{}", who(node),
        for_how_long(context, *waiter),
        owners.size() == 1 ? list_processes(owners) + " holds" : list_processes(owners) + " hold",
        owners.size() == 1 ? "waits" : "wait", time_out_text(found));
    finding.explanation = explain_cycle(context, from_waiter);
    if (!lock.description.empty()) {
      finding.evidence.push_back(fmt::format("lock on {}: {} (/proc/locks)",
                                             model::to_string(lock.file), lock.description));
    }
    finding.remedy =
        "Release the file lock before waiting for another process, or take the locks "
        "in the same order everywhere.";
    drafts.push_back(std::move(draft));
  }
  return drafts;
}

}  // namespace stucktrace::diagnose::rules
