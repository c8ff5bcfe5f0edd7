#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tracer/model/snapshot.h"

namespace stucktrace::diagnose {

// What stacks say that the kernel cannot: pure functions over frames that were already read. An
// empty stack says nothing; absence of a frame is never evidence.

// A thread of the process that is on its way out, read off its stack.
struct ExitPhase {
  base::Tid tid;
  std::string frame;  // "_exit_function (multiprocessing/util.py)" or "__run_exit_handlers (libc)"
};
std::optional<ExitPhase> exit_phase(const model::Process& process);

// What the innermost telling Python frame of a thread waits for.
enum class FrameWait : std::uint8_t {
  kNothingKnown,
  kThreadJoin,   // threading.py join
  kChildWait,    // multiprocessing join, subprocess wait
  kQueueFeeder,  // multiprocessing/queues.py _feed: writes what put() left behind
  kLock,         // threading.py: lock or condition
};
FrameWait frame_wait(const model::Thread& thread);

// A Python frame of the multiprocessing package is on some stack of the process.
bool uses_multiprocessing(const model::Process& process);
// ... of subprocess.py.
bool uses_subprocess(const model::Process& process);

// The frames a person needs, innermost first, at most `limit`: of Python where the thread is, the
// program's own line (or the exit) that led there and the library's word for the wait; else the
// innermost native functions with a name. "join (multiprocessing/process.py:149)".
std::vector<std::string> telling_frames(const model::Thread& thread, std::size_t limit = 3);

}  // namespace stucktrace::diagnose
