#pragma once

#include <memory>
#include <span>
#include <utility>

#include "tracer/engine/lock_owners.h"
#include "tracer/kernel/procfs.h"
#include "tracer/model/snapshot.h"
#include "tracer/unwind/stacks.h"

namespace stucktrace::engine {

struct StackKinds {
  bool native = true;
  bool python = true;
  bool may_stop = false;  // threads that run, for their native stack
};

// The stacks of a snapshot's processes. Stops nothing that may not be.
class StackReader {
 public:
  StackReader(StackKinds kinds, std::shared_ptr<unwind::ElfFiles> files)
      : kinds_(kinds), files_(std::move(files)) {}

  // Adds the stacks of a process's blocked threads (of all that may be stopped), and what the
  // runtime says of all its threads: their names, and deadlines held in frames; and what an
  // interpreter says of itself. `standing` tells which threads still stand where the process
  // has them.
  void read(model::Process& process, const unwind::NativeStacks::Standing& standing);

  // These threads' frames are not of the wait that the snapshot has.
  void forget_ends(base::Pid pid, std::span<const base::Tid> tids);

  // After the last read(): which futexes are locks of an interpreter, and who holds them; whose end
  // a thread waits for.
  void name_owners(std::span<model::Process* const> processes, const kernel::Procfs& procfs);

 private:
  void add_python(model::Process& process);

  StackKinds kinds_;
  std::shared_ptr<unwind::ElfFiles> files_;
  RuntimeThreads runtime_;
};

}  // namespace stucktrace::engine
