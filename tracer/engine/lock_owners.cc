#include "tracer/engine/lock_owners.h"

#include <algorithm>
#include <utility>

namespace stucktrace::engine {
namespace {

using unwind::PythonThread;

bool holds(const PythonThread& thread, std::uint64_t lock) {
  return std::ranges::find(thread.held_locks, lock) != thread.held_locks.end();
}

class Owners {
 public:
  Owners(std::span<model::Process* const> processes, const RuntimeThreads& runtime,
         const SharedWord& shared_word)
      : processes_(processes), runtime_(runtime), shared_word_(shared_word) {}

  void name(const model::Process& process, const model::Thread& thread, model::OnFutex& on) const {
    const PythonThread* waiter = find(process.pid, thread.tid);
    if (waiter == nullptr || !waiter->lock_wait) return;
    const unwind::PythonLockWait& wait = *waiter->lock_wait;
    if (wait.futex != on.address.value()) return;
    on.role = model::OnFutex::Role::kRuntimeLock;
    if (!on.is_private) {
      set_alive(on, only(holders_of_shared(on.futex)));
    } else if (wait.owner != 0) {
      set_recorded(process, wait.owner, on);
    } else if (const auto holders = holders_of_private(process, wait.lock); !holders.empty()) {
      set_alive(on, only(holders));
    } else if (wait.only_own_references) {
      set_alive(on, thread.tid);
    } else if (process.threads.size() == 1) {
      set_vanished(on, holder_in_parent(process, wait.lock));
    }
  }

 private:
  static std::optional<base::Tid> only(const std::vector<base::Tid>& holders) {
    return holders.size() == 1 ? std::optional{holders.front()} : std::nullopt;
  }
  static void set_alive(model::OnFutex& on, std::optional<base::Tid> owner) {
    on.owner = owner;
    on.owner_alive = owner.has_value();
  }
  static void set_vanished(model::OnFutex& on, std::optional<base::Tid> owner) {
    on.owner = owner;
    on.owner_alive = false;
  }

  const std::vector<PythonThread>& threads(base::Pid pid) const {
    static const std::vector<PythonThread> kNone;
    const auto found = runtime_.find(pid);
    return found == runtime_.end() ? kNone : found->second;
  }
  const PythonThread* find(base::Pid pid, base::Tid tid) const {
    const auto& all = threads(pid);
    const auto found = std::ranges::find(all, tid, &PythonThread::tid);
    return found == all.end() ? nullptr : &*found;
  }
  const PythonThread* find_ident(base::Pid pid, std::uint64_t ident) const {
    const auto& all = threads(pid);
    const auto found = std::ranges::find(all, ident, &PythonThread::pthread);
    return found == all.end() ? nullptr : &*found;
  }

  // The parent, if the process is a copy of it made by fork: addresses then mean the same.
  const model::Process* copied_from(const model::Process& process) const {
    for (const model::Process* other : processes_) {
      const bool copy =
          other->pid == process.parent && other->exe == process.exe && other->argv == process.argv;
      if (copy) return other;
    }
    return nullptr;
  }

  void set_recorded(const model::Process& process, std::uint64_t ident, model::OnFutex& on) const {
    if (const PythonThread* owner = find_ident(process.pid, ident)) {
      if (owner->tid) set_alive(on, owner->tid);
      return;
    }
    const model::Process* parent = copied_from(process);
    const PythonThread* owner = parent == nullptr ? nullptr : find_ident(parent->pid, ident);
    if (owner != nullptr && owner->tid) set_vanished(on, owner->tid);
  }

  std::vector<base::Tid> holders_of_private(const model::Process& process,
                                            std::uint64_t lock) const {
    std::vector<base::Tid> holders;
    for (const model::Process* other : processes_) {
      if (other->pid != process.pid && other->address_space != process.address_space) continue;
      for (const PythonThread& thread : threads(other->pid)) {
        if (thread.tid && holds(thread, lock)) holders.push_back(thread.tid);
      }
    }
    return holders;
  }

  std::vector<base::Tid> holders_of_shared(const model::ResourceId& futex) const {
    std::vector<base::Tid> holders;
    for (const model::Process* process : processes_) {
      for (const PythonThread& thread : threads(process->pid)) {
        const bool inside = std::ranges::any_of(thread.held_locks, [&](std::uint64_t address) {
          return shared_word_(process->pid, base::RemoteAddr{address}) == futex;
        });
        if (thread.tid && inside) holders.push_back(thread.tid);
      }
    }
    return holders;
  }

  // Was there when the child was made. Clock ticks are long; numbers are given in ascending order.
  static bool is_older(const model::Process& parent, base::Tid tid, const model::Process& child) {
    const auto found = std::ranges::find(parent.threads, tid, &model::Thread::tid);
    return found != parent.threads.end() && std::pair{found->start_time, tid.value()} <
                                                std::pair{child.start_time, child.pid.value()};
  }

  // Who held the lock at the fork has it still, and there is no copy of it here. A thread that was
  // made later took the parent's lock: that is another one by now.
  std::optional<base::Tid> holder_in_parent(const model::Process& process,
                                            std::uint64_t lock) const {
    const model::Process* parent = copied_from(process);
    if (parent == nullptr) return std::nullopt;
    std::vector<base::Tid> holders;
    for (const PythonThread& thread : threads(parent->pid)) {
      if (!thread.tid || !holds(thread, lock)) continue;
      if (!is_older(*parent, thread.tid, process)) continue;
      // The one thread that did fork lives on here, under the same pthread_self().
      if (find_ident(process.pid, thread.pthread) != nullptr) return std::nullopt;
      holders.push_back(thread.tid);
    }
    return only(holders);
  }

  std::span<model::Process* const> processes_;
  const RuntimeThreads& runtime_;
  const SharedWord& shared_word_;
};

}  // namespace

void name_lock_owners(std::span<model::Process* const> processes, const RuntimeThreads& runtime,
                      const SharedWord& shared_word) {
  const Owners owners{processes, runtime, shared_word};
  for (model::Process* process : processes) {
    for (model::Thread& thread : process->threads) {
      bool named = false;
      for (model::WaitOn& on : thread.wait.on) {
        auto* futex = std::get_if<model::OnFutex>(&on);
        const bool open = futex != nullptr && futex->role == model::OnFutex::Role::kUnknown;
        if (!open) continue;
        owners.name(*process, thread, *futex);
        named = named || futex->owner;
      }
      // Who else could come to share the word does not release what has an owner.
      if (named) {
        std::erase_if(thread.wait.on, [](const model::WaitOn& on) {
          return std::holds_alternative<model::OnOutside>(on);
        });
      }
    }
  }
}

}  // namespace stucktrace::engine
