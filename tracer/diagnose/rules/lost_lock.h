#pragma once

#include <vector>

#include "tracer/diagnose/story.h"

namespace stucktrace::diagnose::rules {

// A thread that waits for a lock whose owner word names nobody who could release it.
struct LostLock {
  NodeIndex waiter = 0;
  model::OnFutex futex;
  base::Tid owner;
  // The owner lives, but in another process: the lock was copied by fork(2) while it was held.
  const model::Process* owner_process = nullptr;
  Strength strength;
};

// By waiting thread. One entry per lock (the others wait behind the same loss).
std::vector<LostLock> lost_locks(const RuleContext& context);

Draft lost_lock_draft(const RuleContext& context, std::string_view rule, const LostLock& lost);

}  // namespace stucktrace::diagnose::rules
