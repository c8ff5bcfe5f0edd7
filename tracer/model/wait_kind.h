#pragma once

#include "tracer/model/snapshot.h"

namespace stucktrace::model {

// A join of a thread sleeps on a futex, and may show as no more than that in a look that did not
// read the frames which say whose end it is. Looks are compared by this.
inline WaitKind as_seen_without_frames(WaitKind kind) {
  return kind == WaitKind::kThreadJoin ? WaitKind::kFutex : kind;
}

inline bool same_sleep(WaitKind one, WaitKind other) {
  return as_seen_without_frames(one) == as_seen_without_frames(other);
}

}  // namespace stucktrace::model
