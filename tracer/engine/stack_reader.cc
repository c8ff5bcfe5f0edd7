#include "tracer/engine/stack_reader.h"

#include <algorithm>
#include <utility>

#include "tracer/unwind/elf_files.h"
#include "tracer/unwind/python_frames.h"
#include "tracer/unwind/stacks.h"

namespace stucktrace::engine {
namespace {

bool is_blocked(const model::Thread& thread) {
  const bool alive = thread.state != 'Z' && thread.state != 'X';
  return alive && thread.wait.kind != model::WaitKind::kRunning;
}

void add_native(model::Process& process, const std::shared_ptr<unwind::ElfFiles>& files) {
  unwind::NativeStacks stacks{process.pid, files};
  for (model::Thread& thread : process.threads) {
    if (!is_blocked(thread)) continue;
    unwind::StackResult result = stacks.stack(thread.tid);
    thread.stack = std::move(result.frames);
    thread.stack_note = std::move(result.note);
  }
}

void add_python(model::Process& process) {
  auto interpreter = unwind::read_python(process.pid);
  if (!interpreter) return;  // no Python, or a version whose layout is not known
  for (unwind::PythonThread& known : interpreter->threads) {
    const auto thread = std::ranges::find(process.threads, known.tid, &model::Thread::tid);
    if (thread == process.threads.end()) continue;
    thread->name = std::move(known.name);
    thread->python = std::move(known.frames);
    thread->runtime_deadline = known.deadline_in;
  }
}

}  // namespace

void read_stacks(model::Process& process, StackKinds kinds,
                 const std::shared_ptr<unwind::ElfFiles>& files) {
  const bool any_blocked = std::ranges::any_of(process.threads, is_blocked);
  if (kinds.native && any_blocked) add_native(process, files);
  if (kinds.python) add_python(process);
}

}  // namespace stucktrace::engine
