#pragma once

#include <span>

#include "tracer/engine/lock_owners.h"
#include "tracer/model/snapshot.h"

namespace stucktrace::engine {

// Says whose end a thread waits for, where a frame of Python has the very object: in
// Thread::awaited_end, and in the wait of a thread that joins another, which becomes a join of
// that thread. Nothing is said of a thread that sleeps on another word than that wait does, nor of
// an object whose thread or process is not among `processes`.
void name_awaited_ends(std::span<model::Process* const> processes, const RuntimeThreads& runtime);

}  // namespace stucktrace::engine
