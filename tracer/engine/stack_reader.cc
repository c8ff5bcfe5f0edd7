#include "tracer/engine/stack_reader.h"

#include <sys/sysmacros.h>

#include <algorithm>
#include <map>
#include <optional>
#include <span>
#include <utility>
#include <variant>
#include <vector>

#include "tracer/engine/awaited_ends.h"
#include "tracer/unwind/elf_files.h"
#include "tracer/unwind/python_frames.h"

namespace stucktrace::engine {
namespace {

bool is_blocked(const model::Thread& thread) {
  const bool alive = thread.state != 'Z' && thread.state != 'X';
  return alive && thread.wait.kind != model::WaitKind::kRunning;
}

void add_native(model::Process& process, const std::shared_ptr<unwind::ElfFiles>& files,
                bool may_stop, const unwind::NativeStacks::Standing& standing) {
  std::vector<model::Thread*> threads;
  for (model::Thread& thread : process.threads) {
    const bool stops = may_stop && thread.state == 'R';
    if (is_blocked(thread) || stops) threads.push_back(&thread);
  }
  unwind::NativeStacks stacks{process.pid, files, may_stop};
  // Some hundreds at a time: enough for two processors, and no thread waits long for its proof.
  constexpr std::size_t kBatch = 512;
  for (std::size_t first = 0; first < threads.size(); first += kBatch) {
    const auto batch = std::span(threads).subspan(first, std::min(kBatch, threads.size() - first));
    std::vector<unwind::NativeStacks::Blocked> asked;
    for (const model::Thread* thread : batch) {
      asked.push_back({thread->tid, thread->syscall ? &*thread->syscall : nullptr});
    }
    std::vector<unwind::StackResult> results = stacks.stacks(asked, standing);
    for (std::size_t i = 0; i < batch.size(); ++i) {
      batch[i]->stack = std::move(results[i].frames);
      batch[i]->stack_note = std::move(results[i].note);
    }
  }
}

std::map<base::Tid, std::uint64_t> futex_waits(const model::Process& process) {
  std::map<base::Tid, std::uint64_t> waits;
  for (const model::Thread& thread : process.threads) {
    if (thread.wait.on.size() != 1) continue;
    const auto* futex = std::get_if<model::OnFutex>(&thread.wait.on.front());
    if (futex == nullptr || futex->role != model::OnFutex::Role::kUnknown) continue;
    waits.emplace(thread.tid, futex->address.value());
  }
  return waits;
}

// As waits on shared futexes are named (wait_futex.cc).
std::optional<model::ResourceId> shared_word(const std::vector<kernel::MapEntry>& maps,
                                             base::RemoteAddr address) {
  const auto entry = std::ranges::find_if(maps, [&](const kernel::MapEntry& one) {
    return address.value() >= one.start && address.value() < one.end;
  });
  if (entry == maps.end() || !entry->shared) return std::nullopt;
  const std::uint64_t device = makedev(entry->device_major, entry->device_minor);
  return model::ResourceId{model::ResourceKind::kFutex, device, entry->inode,
                           entry->offset + (address.value() - entry->start)};
}

}  // namespace

void StackReader::add_python(model::Process& process) {
  auto interpreter = unwind::read_python(process.pid, futex_waits(process));
  if (!interpreter) {
    if (unwind::is_unread_python(interpreter.error())) {
      process.interpreter.emplace().note = interpreter.error().operation + "; native frames only";
    }
    return;
  }
  process.interpreter = std::move(interpreter->interpreter);
  for (unwind::PythonThread& known : interpreter->threads) {
    const auto thread = std::ranges::find(process.threads, known.tid, &model::Thread::tid);
    if (thread == process.threads.end()) continue;
    thread->name = std::move(known.name);
    thread->python = std::move(known.frames);
    thread->runtime_deadline = known.deadline_in;
  }
  runtime_.emplace(process.pid, std::move(interpreter->threads));
}

void StackReader::read(model::Process& process, const unwind::NativeStacks::Standing& standing) {
  const bool any_blocked = std::ranges::any_of(process.threads, is_blocked);
  if (kinds_.native && (any_blocked || kinds_.may_stop)) {
    add_native(process, files_, kinds_.may_stop, standing);
  }
  if (kinds_.python) add_python(process);
}

void StackReader::forget_ends(base::Pid pid, std::span<const base::Tid> tids) {
  const auto known = runtime_.find(pid);
  if (known == runtime_.end()) return;
  for (unwind::PythonThread& thread : known->second) {
    if (std::ranges::find(tids, thread.tid) != tids.end()) thread.awaited_end.reset();
  }
}

void StackReader::name_owners(std::span<model::Process* const> processes,
                              const kernel::Procfs& procfs) {
  std::map<base::Pid, std::vector<kernel::MapEntry>> maps;
  name_awaited_ends(processes, runtime_);
  engine::name_lock_owners(processes, runtime_, [&](base::Pid pid, base::RemoteAddr address) {
    auto known = maps.find(pid);
    if (known == maps.end()) {
      auto read = procfs.maps(pid).value_or(std::vector<kernel::MapEntry>{});
      known = maps.emplace(pid, std::move(read)).first;
    }
    return shared_word(known->second, address);
  });
}

}  // namespace stucktrace::engine
