#pragma once

#include <memory>
#include <vector>

#include "tracer/base/ids.h"
#include "tracer/base/result.h"
#include "tracer/kernel/procfs_parse.h"
#include "tracer/model/snapshot.h"

namespace stucktrace::unwind {

class ElfFiles;

struct StackResult {
  std::vector<model::NativeFrame> frames;  // innermost first
  std::string note;                        // "" complete; else why it is missing or ends early
};

// Native stacks of threads blocked in a system call, without stopping anything: stack pointer and
// program counter from /proc/TID/syscall, one copy of the stack, read again to prove that nothing
// moved, unwound offline by libunwind over the copy and the mapped files. One object per process;
// caches mappings, unwind tables and symbols. A running thread gives an empty stack with a note,
// unless it may be stopped for some microseconds (kernel/brief_stop.h).
class NativeStacks {
 public:
  explicit NativeStacks(base::Pid pid);
  // Shares files and symbols with the stacks of other processes (elf_files.h): what many of them
  // map is then read once.
  NativeStacks(base::Pid pid, std::shared_ptr<ElfFiles> files, bool may_stop = false);
  NativeStacks(NativeStacks&&) noexcept;
  NativeStacks& operator=(NativeStacks&&) noexcept;
  ~NativeStacks();
  StackResult stack(base::Tid tid);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace stucktrace::unwind
