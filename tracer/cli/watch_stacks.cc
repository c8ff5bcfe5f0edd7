#include "tracer/cli/watch_stacks.h"

#include <algorithm>
#include <variant>
#include <vector>

#include "tracer/model/wait_kind.h"

namespace stucktrace::cli {
namespace {

using model::Process;
using model::Snapshot;
using model::Thread;

bool unmoved(const Thread& then, const Thread& now) {
  return then.tid == now.tid && then.start_time == now.start_time && then.state == now.state &&
         then.counters == now.counters && now.wait.kind != model::WaitKind::kRunning &&
         model::same_sleep(then.wait.kind, now.wait.kind);
}

bool owners_in(const Snapshot& look, const Thread& thread) {
  return std::ranges::all_of(thread.wait.on, [&](const model::WaitOn& on) {
    const auto* futex = std::get_if<model::OnFutex>(&on);
    if (futex == nullptr || !futex->owner || !futex->owner_alive) return true;
    const Process* process = nullptr;
    return look.find_thread(*futex->owner, &process) != nullptr && process->in_tree;
  });
}

bool names_owner(const Thread& thread) {
  return std::ranges::any_of(thread.wait.on, [](const model::WaitOn& on) {
    const auto* futex = std::get_if<model::OnFutex>(&on);
    return futex != nullptr && futex->owner.has_value();
  });
}

template <class Snap>
auto tree_of(Snap& look) {
  std::vector<decltype(&look.processes.front())> tree;
  for (auto& process : look.processes) {
    if (process.in_tree) tree.push_back(&process);
  }
  return tree;
}

}  // namespace

bool carry_stacks(const Snapshot& then, Snapshot& now) {
  const auto before = tree_of(then);
  const auto tree = tree_of(now);
  const bool still = std::ranges::equal(before, tree, [&](const Process* a, const Process* b) {
    return a->pid == b->pid && a->start_time == b->start_time &&
           std::ranges::equal(a->threads, b->threads, unmoved) &&
           std::ranges::all_of(a->threads,
                               [&](const Thread& each) { return owners_in(then, each); });
  });
  if (!still) return false;
  const base::Nanoseconds passed = now.taken_at - then.taken_at;
  for (std::size_t i = 0; i < tree.size(); ++i) {
    tree[i]->interpreter = before[i]->interpreter;
    for (std::size_t k = 0; k < tree[i]->threads.size(); ++k) {
      const Thread& from = before[i]->threads[k];
      Thread& to = tree[i]->threads[k];
      to.name = from.name;
      to.stack = from.stack;
      to.python = from.python;
      to.stack_note = from.stack_note;
      to.awaited_end = from.awaited_end;
      if (from.runtime_deadline) to.runtime_deadline = *from.runtime_deadline - passed;
      // Who holds an interpreter's lock was read with the stacks.
      if (to.wait.kind == model::WaitKind::kFutex && !names_owner(to)) {
        to.wait.kind = from.wait.kind;
        to.wait.on = from.wait.on;
      }
    }
  }
  return true;
}

}  // namespace stucktrace::cli
