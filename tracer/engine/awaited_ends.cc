#include "tracer/engine/awaited_ends.h"

#include <algorithm>
#include <chrono>

namespace stucktrace::engine {
namespace {

using unwind::PythonAwaitedEnd;
using unwind::PythonThread;

bool is_gone(char state) {
  return state == 'Z' || state == 'X' || state == 'x';
}

model::OnFutex* only_futex(model::Thread& thread) {
  if (thread.wait.on.size() != 1) return nullptr;
  return std::get_if<model::OnFutex>(&thread.wait.on.front());
}

// The futex is the one that the join sleeps on. From 3.13 on that is a word of the thread's own
// stack not far from its top, where neither the interpreter's lock nor one of the allocator's can
// be.
bool sleeps_for(const model::Thread& thread, const model::OnFutex& on,
                const PythonAwaitedEnd& end) {
  constexpr std::uint64_t kNear = std::uint64_t{16} << 10U;
  if (on.role != model::OnFutex::Role::kUnknown) return false;
  if (end.futex != 0) return on.address.value() == end.futex;
  if (!thread.syscall) return false;
  const std::uint64_t top = thread.syscall->stack_pointer;
  return on.address.value() >= top && on.address.value() - top < kNear;
}

const model::Thread* thread_of(const model::Process& process, const RuntimeThreads& runtime,
                               std::uint64_t pthread) {
  const auto known = runtime.find(process.pid);
  if (known == runtime.end()) return nullptr;
  const auto target = std::ranges::find(known->second, pthread, &PythonThread::pthread);
  if (target == known->second.end() || !target->tid) return nullptr;
  const auto thread = std::ranges::find(process.threads, target->tid, &model::Thread::tid);
  const bool alive = thread != process.threads.end() && !is_gone(thread->state);
  return alive ? &*thread : nullptr;
}

// Its pid as `of`'s pid namespace numbers it; NSpid runs from ours inwards.
std::int32_t number_for(const model::Process& of, const model::Process& other) {
  const std::size_t depth = of.ns_pids.size();
  if (depth < 2) return other.pid.value();
  return other.ns_pids.size() < depth ? -1 : other.ns_pids[depth - 1];
}

const model::Process* find(std::span<model::Process* const> processes, base::Pid pid) {
  const auto at = std::ranges::find(processes, pid, &model::Process::pid);
  return at == processes.end() ? nullptr : *at;
}

// A child, or a grandchild that multiprocessing's fork server made; any other process with that
// number has it by chance. One that has ended and was not waited for yet counts: that is what the
// wait would find.
const model::Process* process_of(std::span<model::Process* const> processes,
                                 const model::Process& of, std::int32_t number) {
  for (const model::Process* other : processes) {
    if (other->pid == of.pid || number_for(of, *other) != number) continue;
    const model::Process* parent = find(processes, other->parent);
    const bool grandchild = parent != nullptr && parent->parent == of.pid;
    if (other->parent == of.pid || grandchild) return other;
  }
  return nullptr;
}

void name_end(std::span<model::Process* const> processes, const RuntimeThreads& runtime,
              const model::Process& process, const PythonThread& known, model::Thread& thread) {
  const PythonAwaitedEnd& end = *known.awaited_end;
  if (end.frame >= thread.python.size()) return;
  if (thread.wait.kind == model::WaitKind::kRunning) return;  // it may be about to wait for another
  model::AwaitedEnd named;
  named.object = end.object;
  named.frame = thread.python[end.frame];
  if (end.pthread == 0) {
    const model::Process* target = process_of(processes, process, end.pid);
    if (target == nullptr) return;
    named.process = target->pid;
    thread.awaited_end = std::move(named);
    return;
  }
  const model::Thread* target = thread_of(process, runtime, end.pthread);
  if (target == nullptr || target->tid == thread.tid) return;
  named.thread = target->tid;
  if (model::OnFutex* on = only_futex(thread)) {
    if (!sleeps_for(thread, *on, end)) return;
    thread.wait.kind = model::WaitKind::kThreadJoin;
    on->role = model::OnFutex::Role::kJoin;
    on->owner = target->tid;
    on->owner_alive = true;
  }
  thread.awaited_end = std::move(named);
}

}  // namespace

void name_awaited_ends(std::span<model::Process* const> processes, const RuntimeThreads& runtime) {
  for (model::Process* process : processes) {
    const auto threads = runtime.find(process->pid);
    if (threads == runtime.end()) continue;
    for (const PythonThread& known : threads->second) {
      if (!known.awaited_end) continue;
      const auto thread = std::ranges::find(process->threads, known.tid, &model::Thread::tid);
      if (thread != process->threads.end()) {
        name_end(processes, runtime, *process, known, *thread);
      }
    }
  }
}

}  // namespace stucktrace::engine
