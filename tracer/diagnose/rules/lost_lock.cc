#include "tracer/diagnose/rules/lost_lock.h"

#include <fmt/format.h>

#include <algorithm>

#include "tracer/diagnose/phases.h"

namespace stucktrace::diagnose::rules {

std::vector<LostLock> lost_locks(const RuleContext& context) {
  using Role = model::OnFutex::Role;
  std::vector<LostLock> found;
  for (NodeIndex index = 0; index < context.graph.size(); ++index) {
    const Node& node = context.graph[index];
    const model::OnFutex* futex = futex_of(node);
    if (futex == nullptr || node.moves() || node.timer) continue;
    const bool lock = futex->role != Role::kUnknown && futex->role != Role::kJoin;
    if (!lock || !futex->owner || futex->owner_alive) continue;
    // Some code leaves the owner's number behind when it releases; then the word says unlocked. An
    // interpreter's lock is a semaphore: 0 is taken.
    const bool counts = futex->role == Role::kRuntimeLock;
    if (!counts && futex->word && *futex->word == 0) continue;
    const bool known = std::ranges::any_of(
        found, [&](const LostLock& other) { return other.futex.futex == futex->futex; });
    if (known) continue;
    LostLock lost;
    lost.waiter = index;
    lost.futex = *futex;
    lost.owner = *futex->owner;
    const model::Process* process = nullptr;
    if (context.samples.now.find_thread(*futex->owner, &process) != nullptr &&
        process->pid != node.pid()) {
      lost.owner_process = process;
    }
    // Everybody who could do it: the memory is theirs, too.
    std::vector<NodeIndex> closure{index};
    if (context.cases.stuck[index]) {
      closure = reachable(context.graph, index, context.cases.stuck);
      if (!std::ranges::binary_search(closure, index)) {
        closure.insert(std::ranges::lower_bound(closure, index), index);
      }
    }
    lost.strength = strength_of(context.graph, context.samples, closure);
    const auto napper =
        std::ranges::find_if(closure, [&](NodeIndex other) { return context.graph[other].timer; });
    const auto duration = waited(context.samples, node);
    if (napper != closure.end()) {
      lost.strength.certainty = model::Certainty::kLikely;
      lost.strength.doubts.push_back(fmt::format(
          "thread {} of process {} wakes by its own clock; it is taken not to release a lock that "
          "is not its own",
          context.graph[*napper].tid(), context.graph[*napper].pid()));
      if (duration && *duration < context.stuck_after) continue;
    }
    if (!context.cases.stuck[index]) {
      // Other threads of the process go on; that none of them will release a lock it does not own
      // is how locks are used, not what the kernel enforces.
      lost.strength.certainty = model::Certainty::kLikely;
      lost.strength.doubts.push_back(
          "another thread of the process goes on; it is taken not to release a lock that is not "
          "its own");
      if (duration && *duration < context.stuck_after) continue;
    }
    if (counts && lost.owner_process != nullptr) {
      lost.strength.certainty = model::Certainty::kLikely;
      lost.strength.doubts.push_back(
          fmt::format("that thread {} had the lock at the moment of the fork is inferred: it was "
                      "there before and has it now",
                      lost.owner));
      if (duration && *duration < context.stuck_after) continue;
    }
    found.push_back(std::move(lost));
  }
  return found;
}

Draft lost_lock_draft(const RuleContext& context, std::string_view rule, const LostLock& lost) {
  Case pseudo;
  pseudo.lead = lost.waiter;
  pseudo.core = {lost.waiter};
  pseudo.certainty = lost.strength.certainty;
  pseudo.doubts = lost.strength.doubts;
  Draft draft{start_finding(context, rule, pseudo), pseudo.core};
  draft.finding.chain.resize(1);
  draft.finding.resource = lost.futex.futex;
  draft.finding.evidence.insert(
      draft.finding.evidence.begin(),
      fmt::format("{}, which is no thread of {}", owner_evidence(lost.futex),
                  process_name(*context.graph[lost.waiter].process)));
  return draft;
}

}  // namespace stucktrace::diagnose::rules
