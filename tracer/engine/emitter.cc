#include "tracer/engine/emitter.h"

#include <utility>

#include "syscalls/io.h"
#include "tracer/engine/made_fds.h"
#include "tracer/kernel/remote_memory.h"

namespace stucktrace::engine {

using syscalls::Trait;

void Emitter::emit(base::Pid pid, base::Tid tid, model::EventData data) {
  hand_over({++sequence_, now(), pid, tid, std::move(data)});
}

void Emitter::hand_over(model::Event&& event) {
  fds_.observe(event);
  sink_.take(std::move(event));
}

bool Emitter::wants(const syscalls::RawCall& call) const {
  const syscalls::SyscallRow* row = syscalls::find_row(call.abi, call.number);
  if (row == nullptr) return trace_.contains(syscalls::Sys::kUnknown);
  if (trace_.contains(row->id)) return true;
  return !loose_ && (row->has(Trait::kPlumbsFds) || row->has(Trait::kMakesTask));
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
  model::Event event{++sequence_, now(), pid, tid, model::SyscallEnter{}};
  auto& enter = std::get<model::SyscallEnter>(event.data);
  enter.call = call;
  enter.open_at_attach = open_at_attach;
  syscalls::capture_enter(call, kernel::ProcessMemory(tid), capture_options(pid, call),
                          enter.memory);
  if (loose_) enter.fds = descriptors_of(procfs_, pid, tid, call, enter.memory);
  hand_over(std::move(event));
}

void Emitter::exit(base::Pid pid, base::Tid tid, const syscalls::RawCall& call,
                   const syscalls::RawResult& result,
                   const std::optional<model::CallTimes>& spent) {
  model::Event event{++sequence_, now(), pid, tid, model::SyscallExit{}};
  auto& exit = std::get<model::SyscallExit>(event.data);
  exit.call = call;
  exit.result = result;
  exit.spent = spent;
  const kernel::ProcessMemory memory(tid);
  syscalls::capture_exit(call, result, memory, capture_options(pid, call), exit.memory);
  const syscalls::SyscallRow* row = syscalls::find_row(call.abi, call.number);
  if (row != nullptr && row->has(Trait::kPlumbsFds)) {
    exit.made_fds = made_fds(procfs_, pid, call, result, memory, fds_,
                             loose_ ? DupLookup::kRead : DupLookup::kKnown);
  }
  hand_over(std::move(event));
}

void Emitter::task_seen(base::Pid pid, base::Tid tid, base::Pid parent, Origin origin) {
  model::TaskSeen seen;
  seen.parent = parent;
  seen.at_attach = origin == Origin::kFound;
  // One whose making was seen has all the rest of its maker: where thousands are made, reading it
  // costs.
  if (origin == Origin::kMade) return emit(pid, tid, std::move(seen));
  if (const auto stat = procfs_.stat(pid, tid)) {
    seen.start_time = stat->start_time;
    seen.comm = stat->comm;
  }
  if (tid == base::main_thread(pid)) {
    if (auto exe = procfs_.exe(pid)) seen.exe = std::move(*exe);
    if (auto argv = procfs_.cmdline(pid)) seen.argv = std::move(*argv);
    if (auto fds = procfs_.fds(pid, kernel::FdDetail::kLinks)) seen.fds = std::move(*fds);
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
