#include <fmt/format.h>

#include "tracer/diagnose/rules/lost_lock.h"
#include "tracer/diagnose/rules/rules.h"

namespace stucktrace::diagnose::rules {

std::vector<Draft> lock_owner_gone(const RuleContext& context) {
  std::vector<Draft> drafts;
  for (const LostLock& lost : lost_locks(context)) {
    if (lost.owner_process != nullptr && lost.futex.is_private) continue;  // fork-lost-lock
    const Node& node = context.graph[lost.waiter];
    Draft draft = lost_lock_draft(context, "lock-owner-gone", lost);
    draft.finding.headline = fmt::format("{} waits{} for a lock whose owner, thread {}, is gone",
                                         who(node), for_how_long(context, lost.waiter), lost.owner);
    draft.finding.explanation = {
        fmt::format("{} {}.", who(node), what(context, lost.waiter)),
        fmt::format("Thread {} ended (or never existed here) while the lock was its own; a lock "
                    "that is not robust is not released by its owner's death.",
                    lost.owner)};
    draft.finding.remedy =
        lost.futex.is_private
            ? "Release the lock on every way out of the thread (scoped locks), or fork before "
              "taking it."
            : "Use a robust mutex (PTHREAD_MUTEX_ROBUST) for locks shared among processes.";
    drafts.push_back(std::move(draft));
  }
  return drafts;
}

}  // namespace stucktrace::diagnose::rules
