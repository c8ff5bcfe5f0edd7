#pragma once

#include <optional>
#include <string>
#include <vector>

#include "syscalls/memory.h"
#include "tracer/base/ids.h"
#include "tracer/base/result.h"
#include "tracer/kernel/procfs_parse.h"
#include "tracer/model/snapshot.h"

namespace stucktrace::unwind {

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
};

struct PythonProcess {
  std::string version;  // "3.11.7"
  bool finalizing = false;
  std::vector<PythonThread> threads;
};

// CPython frames of every thread by reading the process's memory while it goes on; every read is
// bounded, pointers are checked, cyclic lists end, a torn read is retried and never printed.
// kUnsupported: not a CPython process, or a version whose layout is not known (the message says
// which).
base::Result<PythonProcess> read_python(base::Pid pid);

}  // namespace stucktrace::unwind
