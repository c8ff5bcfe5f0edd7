#include "tracer/engine/java_waits.h"

#include <algorithm>
#include <variant>
#include <vector>

#include "tracer/engine/wait_context.h"
#include "tracer/unwind/java_locks.h"

namespace stucktrace::engine {
namespace {

using model::OnFutex;

// A virtual machine has a dozen threads of its own before it runs a program.
constexpr std::size_t kFewestThreads = 5;

// The futex of a thread that may be parked: owned by nobody that is known yet. What the memory
// around the word looks like does not count: of the words in a condition variable, which parked
// threads sleep on, one can pass for that of a read-write lock.
OnFutex* parking_place(model::Thread& thread) {
  if (thread.wait.kind != model::WaitKind::kFutex || thread.wait.on.size() != 1) return nullptr;
  auto* futex = std::get_if<OnFutex>(&thread.wait.on.front());
  return futex != nullptr && futex->is_private && !futex->owner ? futex : nullptr;
}

void name_owner(model::Thread& thread, const unwind::JavaLockWait& wait) {
  OnFutex* futex = parking_place(thread);
  if (futex == nullptr) return;
  futex->role = OnFutex::Role::kMonitor;
  futex->owner = wait.owner;
  futex->owner_alive = true;
  const bool timed = thread.wait.timeout || thread.wait.remaining;
  if (wait.kind != unwind::JavaLockWait::Kind::kMonitor || !timed) return;
  // Up to JDK 23 the first in the queue for a monitor looks again by the clock, lest a wake-up be
  // lost. It never gives up.
  thread.wait.timeout.reset();
  thread.wait.remaining.reset();
  thread.wait.polling = true;
  thread.wait.polling_text = "futex, again and again";
}

}  // namespace

void name_java_owners(const kernel::Procfs& procfs, const ProcessView& process,
                      std::span<model::Thread> threads) {
  if (threads.size() < kFewestThreads) return;
  std::vector<base::Tid> parked;
  for (model::Thread& thread : threads) {
    if (parking_place(thread) != nullptr) parked.push_back(thread.tid);
  }
  if (parked.size() < kFewestThreads) return;
  const auto waits = unwind::read_java_locks(procfs, process.pid, parked, [&](std::int32_t number) {
    return own_thread(process, number);
  });
  if (!waits) return;  // not Java, or one that cannot be read: no owners then
  for (const unwind::JavaLockWait& wait : *waits) {
    const auto thread = std::ranges::find(threads, wait.waiter, &model::Thread::tid);
    if (thread != threads.end()) name_owner(*thread, wait);
  }
}

}  // namespace stucktrace::engine
