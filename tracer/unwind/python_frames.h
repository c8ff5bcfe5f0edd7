#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "syscalls/memory.h"
#include "tracer/base/ids.h"
#include "tracer/base/result.h"
#include "tracer/kernel/procfs_parse.h"
#include "tracer/model/snapshot.h"

namespace stucktrace::unwind {

// A thread that sleeps for a lock object: threading.Lock, RLock, or a lock of multiprocessing.
struct PythonLockWait {
  std::uint64_t futex = 0;  // the word it sleeps on
  std::uint64_t lock = 0;   // which lock it is, as in PythonThread::held_locks
  // pthread_self() of the owner, where the lock records one (RLock); 0 = not known. It may be that
  // of no thread: a lock of before a fork.
  std::uint64_t owner = 0;
  // Nothing refers to the lock but the thread's own frames: no other thread can release it.
  bool only_own_references = false;
};

// Whose end a thread waits for: the object in a variable of the standard library's frame says.
struct PythonAwaitedEnd {
  std::uint64_t pthread = 0;  // pthread_self() of a thread of the same process; 0: a process
  std::int32_t pid = 0;       // as the process's own pid namespace numbers it; 0: a thread
  std::string object;         // its name, else its type
  std::size_t frame = 0;      // the frame that has the variable
  // The word it must be asleep on if that is so; 0: the version does not tell.
  std::uint64_t futex = 0;
};

struct PythonThread {
  base::Tid tid;                           // kernel tid; 0 where the version does not keep it and
                                           // pthread_self could not be matched to a thread
  std::uint64_t pthread = 0;               // pthread_self() as the interpreter stores it
  std::string name;                        // threading.Thread.name: "QueueFeederThread", "" unknown
  std::vector<model::PythonFrame> frames;  // innermost first
  // Remaining time of a deadline held in a local of a known waiting function (selectors/
  // multiprocessing/subprocess/threading: `deadline`, `endtime` ...), where one was found;
  // negative = passed.
  std::optional<base::Nanoseconds> deadline_in;
  bool holds_gil = false;
  // Both only of a thread that slept all the while. The locks it holds, as far as open `with`
  // blocks prove it, each by the address of its state: that is the futex word its waiters sleep on,
  // up to 3.13 and for locks of multiprocessing. The lock it waits for.
  std::vector<std::uint64_t> held_locks;
  std::optional<PythonLockWait> lock_wait;
  std::optional<PythonAwaitedEnd> awaited_end;
};

struct PythonProcess {
  model::Interpreter interpreter;
  std::vector<PythonThread> threads;
};

// CPython frames of every thread by reading the process's memory while it goes on; every read is
// bounded, pointers are checked, cyclic lists end, a torn read is retried and never printed.
// kUnsupported: not a CPython process, or a version whose layout is not known (the message says
// which).
// `futex_waits`: the futex word that each waiting thread sleeps on, for `lock_wait`.
base::Result<PythonProcess> read_python(base::Pid pid,
                                        const std::map<base::Tid, std::uint64_t>& futex_waits = {});

// An error of read_python() that means: it is CPython, and its threads cannot be told.
bool is_unread_python(const base::Error& error);

}  // namespace stucktrace::unwind
