#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "tracer/diagnose/rules/rules.h"
#include "tracer/diagnose/story.h"

namespace stucktrace::diagnose::rules {
namespace {

// What the owner of a lock never waits for by design while others want the lock: room, a
// connection, a disk. Waiting for input under a lock is how workers take turns (an accept mutex).
bool is_blocked(const Node& owner) {
  if (owner.moves() || owner.timer) return false;
  switch (owner.wait.kind) {
    case model::WaitKind::kPipeWrite:
    case model::WaitKind::kUnixWrite:
    case model::WaitKind::kTcpWrite:
    case model::WaitKind::kTtyWrite:
    case model::WaitKind::kConnect:
    case model::WaitKind::kDisk:
      return true;
    default:
      return false;
  }
}

std::optional<NodeIndex> owner_of(const Graph& graph, const Node& waiter) {
  const model::OnFutex* futex = futex_of(waiter);
  if (futex == nullptr || waiter.wait.on.size() != 1 || !futex->owner || !futex->owner_alive) {
    return std::nullopt;
  }
  using Role = model::OnFutex::Role;
  if (futex->role == Role::kUnknown || futex->role == Role::kJoin) return std::nullopt;
  return graph.find(*futex->owner);
}

}  // namespace

// Threads that wait for a lock while its owner is blocked in something that is no part of a circle:
// a peer on another machine that does not read, a disk, a terminal that was stopped.
std::vector<Draft> lock_owner_blocked(const RuleContext& context) {
  std::map<NodeIndex, std::vector<NodeIndex>> waiters;  // by owner
  for (NodeIndex index = 0; index < context.graph.size(); ++index) {
    const Node& node = context.graph[index];
    if (node.moves() || node.timer) continue;
    const auto owner = owner_of(context.graph, node);
    if (!owner || *owner == index || !is_blocked(context.graph[*owner])) continue;
    // Back-pressure and slow disks look the same for a moment: time alone tells them apart.
    const auto duration = waited(context.samples, context.graph[*owner]);
    if (duration.value_or(context.samples.gap()) < context.stuck_after) continue;
    waiters[*owner].push_back(index);
  }
  std::vector<Draft> drafts;
  for (const auto& [owner, behind] : waiters) {
    Case found;
    found.lead = owner;
    found.core = behind;
    found.core.insert(std::ranges::lower_bound(found.core, owner), owner);
    found.closure = found.core;
    found.doubts = strength_of(context.graph, context.samples, found.core).doubts;
    const Node& holder = context.graph[owner];
    found.doubts.push_back(
        fmt::format("what thread {} waits for lies outside of what can be seen and may come yet",
                    holder.tid()));
    Draft draft{start_finding(context, "lock-owner-blocked", found), found.core};
    model::Finding& finding = draft.finding;
    finding.headline =
        fmt::format("{} holds a lock that {} other thread{} for, while it {} itself", who(holder),
                    behind.size(), behind.size() == 1 ? " waits" : "s wait", what(context, owner));
    finding.explanation = {fmt::format("{} {}.", who(holder), what(context, owner))};
    for (const NodeIndex index : behind) {
      if (finding.explanation.size() > 3) break;
      finding.explanation.push_back(fmt::format("{} {}; {} owns the lock.",
                                                thread_name(context.graph[index]),
                                                what(context, index), thread_name(holder)));
    }
    finding.remedy =
        "Do not write, connect or wait for a device while holding the lock: copy what is needed, "
        "release the lock, then do it; or give the operation a time-out.";
    drafts.push_back(std::move(draft));
  }
  return drafts;
}

}  // namespace stucktrace::diagnose::rules
