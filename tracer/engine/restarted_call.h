#pragma once

#include "tracer/model/snapshot.h"

namespace stucktrace::engine {

// A poll, sleep or futex wait that a stop interrupted is continued by restart_syscall(2), and shows
// as that for as long as it lasts (a stop by an attach is enough). Where the wait tells which call
// it is, the call gets its own number back, so that everybody downstream names it rightly.
void name_restarted_calls(model::Snapshot& snapshot);

}  // namespace stucktrace::engine
