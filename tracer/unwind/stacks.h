#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tracer/base/ids.h"
#include "tracer/base/result.h"
#include "tracer/kernel/brief_stop.h"
#include "tracer/model/snapshot.h"

namespace stucktrace::unwind {

class ElfFiles;

struct StackResult {
  model::Stack frames;  // innermost first; one for all threads in the same places
  std::string note;     // "" complete; else why it is missing or ends early
  // The call it is in, of a stack that was taken without a stop.
  std::optional<model::SyscallLine> call;
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
  // The same of threads that stood at `at` when they were last looked at: `standing` says, after
  // their stacks were copied, which of them have not moved since. Who has is looked at anew.
  struct Blocked {
    base::Tid tid;
    const model::SyscallLine* at = nullptr;  // null: not known
  };
  using Standing = std::function<std::vector<char>(std::span<const base::Tid>)>;
  std::vector<StackResult> stacks(std::span<const Blocked> threads, const Standing& standing);
  // Of a thread that the caller holds in a ptrace-stop, with the registers read there.
  StackResult stack_of_stopped(base::Tid tid, const kernel::StandingRegisters& registers);
  // What is mapped where has changed (execve(2), dlopen(3)): read it again before the next stack.
  void mappings_changed();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace stucktrace::unwind
