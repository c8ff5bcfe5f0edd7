#include <fmt/format.h>

#include "tracer/diagnose/rules/lost_lock.h"
#include "tracer/diagnose/rules/rules.h"

namespace stucktrace::diagnose::rules {

// fork(2) copies memory with its locks, but of all threads only the calling one: a lock that
// another thread held stays locked in the child for good.
std::vector<Draft> fork_lost_lock(const RuleContext& context) {
  std::vector<Draft> drafts;
  for (const LostLock& lost : lost_locks(context)) {
    if (lost.owner_process == nullptr || !lost.futex.is_private) continue;
    const Node& node = context.graph[lost.waiter];
    Draft draft = lost_lock_draft(context, "fork-lost-lock", lost);
    draft.finding.headline = fmt::format(
        "{} waits{} for a lock that was copied locked by fork: its owner, thread {}, lives only in "
        "{}",
        who(node), for_how_long(context, lost.waiter), lost.owner,
        process_name(*lost.owner_process));
    draft.finding.explanation = {
        fmt::format("{} {}.", who(node), what(context, lost.waiter)),
        fmt::format("Thread {} of {} held the lock at the moment of the fork. The child got a copy "
                    "of the locked lock but not of that thread, so nobody in {} can release it.",
                    lost.owner, process_name(*lost.owner_process), process_short(*node.process))};
    draft.finding.remedy =
        "Fork before starting threads, exec right after fork (posix_spawn, the "
        "spawn start method), or re-make the lock in a pthread_atfork handler.";
    drafts.push_back(std::move(draft));
  }
  return drafts;
}

}  // namespace stucktrace::diagnose::rules
