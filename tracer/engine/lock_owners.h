#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "tracer/base/ids.h"
#include "tracer/model/snapshot.h"
#include "tracer/unwind/python_frames.h"

namespace stucktrace::engine {

// What the interpreters say of their threads, by process.
using RuntimeThreads = std::map<base::Pid, std::vector<unwind::PythonThread>>;
// The identity of a word of shared memory at an address in a process; nullopt: not shared.
using SharedWord =
    std::function<std::optional<model::ResourceId>(base::Pid pid, base::RemoteAddr address)>;

// Says of futexes nothing else is known about which are locks of an interpreter, and who holds
// them: a thread that the frames prove to be inside, or the owner that the lock itself records.
// Where two threads look like holders there is none. A lock taken before a fork by a thread that
// exists only in the parent has that thread as an owner that is not alive.
void name_lock_owners(std::span<model::Process* const> processes, const RuntimeThreads& runtime,
                      const SharedWord& shared_word);

}  // namespace stucktrace::engine
