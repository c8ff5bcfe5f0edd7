#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>

#include "syscalls/trace_set.h"
#include "tracer/base/ids.h"
#include "tracer/kernel/ptrace_ops.h"
#include "tracer/model/event.h"
#include "tracer/unwind/python_thread_stack.h"
#include "tracer/unwind/stacks.h"

namespace stucktrace::unwind {
class ElfFiles;
}

namespace stucktrace::engine {

// The stacks of tracees that stand at the entry of a chosen call. What is known of a process's
// mappings stays until the process maps code, executes another program, or ends. On the tracer's
// thread.
class CallStacks {
 public:
  explicit CallStacks(const syscalls::TraceSet& calls);
  ~CallStacks();

  bool wants(const syscalls::RawCall& call) const {
    return calls_.contains(syscalls::sys_of(call.abi, call.number));
  }
  model::StackSeen take(base::Pid pid, const kernel::Stopped& stopped);
  // A call that maps code has returned.
  void code_mapped(base::Pid pid);
  // It executes another program, or has ended.
  void forget(base::Pid pid) { processes_.erase(pid); }

 private:
  struct Process {
    Process(base::Pid pid, std::shared_ptr<unwind::ElfFiles> files)
        : native(pid, std::move(files)), python(pid) {}
    unwind::NativeStacks native;
    unwind::PythonThreadStack python;
    std::uint64_t used = 0;
  };
  Process& process(base::Pid pid);

  // Each has a buffer and tables: those not asked for longest go.
  static constexpr std::size_t kMostProcesses = 128;

  syscalls::TraceSet calls_;
  std::shared_ptr<unwind::ElfFiles> files_;
  std::unordered_map<base::Pid, Process> processes_;
  std::uint64_t turns_ = 0;
};

}  // namespace stucktrace::engine
