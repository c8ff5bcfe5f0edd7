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

// What a futex is part of: of a lock, which one thread holds, or of something that work or an event
// ends, where an idle worker may wait for ever.
enum class FutexUse : std::uint8_t {
  kNothingKnown,
  kMutex,
  kCondition,  // condition variables, and queues made of them
  kSemaphore,
  kBarrier,
  kOnce,
  kRwlock,
  kJoin,        // the end of a thread
  kPythonLock,  // a lock object: Lock, RLock, a lock of multiprocessing
  kPythonGil,   // the interpreter's own lock
};
// From the thread's frames, and from the lock object where the snapshot knows one. Anything but a
// thread in a futex call gives kNothingKnown.
FutexUse futex_use(const model::Thread& thread);
// Why the owner of a futex is believed to be that: "the owner word of futex:7:0x10 names thread 8".
// The futex has an owner.
std::string owner_evidence(const model::OnFutex& futex);

// What a thread waits for that others compute for it, as one of its inner frames says.
enum class ResultWait : std::uint8_t {
  kNone,
  kFuture,      // concurrent.futures: result(), exception(), wait(), as_completed()
  kPoolResult,  // multiprocessing.pool: get(), wait(), next() of an iterator
  kEventLoop,   // asyncio's run_until_complete(): a result, or a server that runs for ever
};
ResultWait waits_for_result(const model::Thread& thread);

// A Python frame of the multiprocessing package is on some stack of the process.
bool uses_multiprocessing(const model::Process& process);
// ... of subprocess.py.
bool uses_subprocess(const model::Process& process);

// "join (multiprocessing/process.py:149)".
std::string frame_place(const model::PythonFrame& frame);
// The innermost frame that is not of the standard library: what the program's author wrote.
// nullopt: no Python frames, or none of the program's own.
std::optional<model::PythonFrame> own_frame(const model::Thread& thread);

// The frames a person needs, innermost first, at most `limit`: of Python where the thread is, the
// program's own line (or the exit) that led there and the library's word for the wait; else the
// innermost native functions with a name. "join (multiprocessing/process.py:149)".
std::vector<std::string> telling_frames(const model::Thread& thread, std::size_t limit = 3);

}  // namespace stucktrace::diagnose
