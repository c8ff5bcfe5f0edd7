#include "tracer/engine/emitter.h"

#include <utility>

#include "syscalls/io.h"
#include "tracer/engine/made_fds.h"
#include "tracer/kernel/remote_memory.h"

namespace stucktrace::engine {

using syscalls::Trait;

void Emitter::emit(base::Pid pid, base::Tid tid, model::EventData data) {
  const model::Event event{++sequence_, clock_.now(), pid, tid, std::move(data)};
  fds_.observe(event);
  sink_.on_event(event);
}

bool Emitter::wants(const syscalls::RawCall& call) const {
  const syscalls::SyscallRow* row = syscalls::find_row(call.abi, call.number);
  if (row == nullptr) return options_.trace.contains(syscalls::Sys::kUnknown);
  return options_.trace.contains(row->id) || row->has(Trait::kPlumbsFds) ||
         row->has(Trait::kMakesTask);
}

syscalls::CaptureOptions Emitter::capture_options(base::Pid pid,
                                                  const syscalls::RawCall& call) const {
  syscalls::CaptureOptions capture;
  capture.payload = options_.payload;
  const syscalls::SyscallRow* row = syscalls::find_row(call.abi, call.number);
  if (row != nullptr && row->has(Trait::kWritesOutput)) {
    const std::optional<int> fd = syscalls::io_fd(call);
    capture.output_fd = fd && fds_.is_output(pid, *fd);
  }
  return capture;
}

void Emitter::enter(base::Pid pid, base::Tid tid, const syscalls::RawCall& call,
                    bool open_at_attach) {
  model::SyscallEnter enter;
  enter.call = call;
  enter.open_at_attach = open_at_attach;
  syscalls::capture_enter(call, kernel::ProcessMemory(tid), capture_options(pid, call),
                          enter.memory);
  emit(pid, tid, std::move(enter));
}

void Emitter::exit(base::Pid pid, base::Tid tid, const syscalls::RawCall& call,
                   const syscalls::RawResult& result) {
  model::SyscallExit exit;
  exit.call = call;
  exit.result = result;
  const kernel::ProcessMemory memory(tid);
  syscalls::capture_exit(call, result, memory, capture_options(pid, call), exit.memory);
  const syscalls::SyscallRow* row = syscalls::find_row(call.abi, call.number);
  if (row != nullptr && row->has(Trait::kPlumbsFds)) {
    exit.made_fds = made_fds(procfs_, pid, call, result, memory, fds_);
  }
  emit(pid, tid, std::move(exit));
}

void Emitter::task_seen(base::Pid pid, base::Tid tid, base::Pid parent, Origin origin) {
  model::TaskSeen seen;
  seen.parent = parent;
  seen.at_attach = origin == Origin::kFound;
  if (const auto stat = procfs_.stat(pid, tid)) {
    seen.start_time = stat->start_time;
    seen.comm = stat->comm;
  }
  if (tid == base::main_thread(pid)) {
    if (auto exe = procfs_.exe(pid)) seen.exe = std::move(*exe);
    if (auto argv = procfs_.cmdline(pid)) seen.argv = std::move(*argv);
    if (origin != Origin::kMade) {
      if (auto fds = procfs_.fds(pid, kernel::FdDetail::kLinks)) seen.fds = std::move(*fds);
    }
  }
  emit(pid, tid, std::move(seen));
}

void Emitter::exec(base::Pid pid, base::Tid former) {
  model::Exec exec;
  exec.former_tid = former;
  if (auto exe = procfs_.exe(pid)) exec.exe = std::move(*exe);
  if (auto argv = procfs_.cmdline(pid)) exec.argv = std::move(*argv);
  if (auto fds = procfs_.fds(pid, kernel::FdDetail::kLinks)) exec.fds = std::move(*fds);
  emit(pid, base::main_thread(pid), std::move(exec));
}

}  // namespace stucktrace::engine
