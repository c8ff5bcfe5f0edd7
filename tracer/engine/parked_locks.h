#pragma once

#include "syscalls/memory.h"
#include "tracer/model/snapshot.h"

namespace stucktrace::engine {

// The kernel refuses a priority-inheriting lock whose owners form a cycle, or whose owner has died
// (futex(2), FUTEX_LOCK_PI: EDEADLK, ESRCH). The C library then parks the caller for ever on a word
// of its own stack, which says nothing. Where the stack shows that a thread waits in
// pthread_mutex_lock() in that way, and exactly one such mutex is in reach of its frames, the wait
// becomes one on that mutex (kPiMutex, with its owner). The library may have kept its address in a
// register alone; then nothing is named, since nothing proves a guess. Needs native stacks; a
// process within another pid namespace is left alone, as its owner words count there.
void name_parked_locks(model::Process& process, const syscalls::RemoteMemory& memory);

}  // namespace stucktrace::engine
