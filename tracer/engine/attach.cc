#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "tracer/engine/tracer.h"
#include "tracer/kernel/own_threads.h"

namespace stucktrace::engine {

base::Result<void> Tracer::attach(base::Pid pid) {
  if (table_.find(base::main_thread(pid)) != nullptr) return {};  // came along with its parent
  base::Pid parent;
  if (const auto stat = procfs_.stat(pid, std::nullopt)) parent = base::Pid{stat->parent};
  // Everything that a stop could disturb is read first.
  emitter_.task_seen(pid, base::main_thread(pid), parent, Emitter::Origin::kFound);
  // Threads make threads while we attach: until a pass finds no new one.
  constexpr int kPasses = 100;
  for (int pass = 0; pass < kPasses; ++pass) {
    const auto added = attach_new_threads(pid);
    if (!added) {
      if (pass > 0 || !table_.threads_of(pid).empty()) {
        Outcome ignored;
        detach_all("attaching failed", ignored);
      }
      return base::Failure{added.error()};
    }
    if (*added == 0) return {};
  }
  return {};  // the auto-attach of clone events covers whatever a storm still makes
}

base::Result<std::size_t> Tracer::attach_new_threads(base::Pid pid) {
  const auto tids = procfs_.tasks(pid);
  if (!tids) return base::Failure{tids.error()};
  std::size_t added = 0;
  for (const base::Tid tid : *tids) {
    if (table_.find(tid) != nullptr) continue;
    const bool seize = options_.style == kernel::TraceStyle::kSeize;
    if (auto done = seize ? kernel::seize(tid, tracee_options()) : kernel::attach(tid); !done) {
      if (done.error().kind == base::ErrorKind::kGone && tid != base::main_thread(pid)) continue;
      // A main thread that has ended before the others cannot be traced, and does nothing any more.
      const auto stat = procfs_.stat(pid, tid);
      if (tids->size() > 1 && stat && stat->state == 'Z') continue;
      // A thread that was cloned by one we hold is attached already and will report itself.
      const auto status = procfs_.status(pid, tid);
      if (status && kernel::tracer_process(status->tracer) == ::getpid()) continue;
      return base::Failure{done.error()};
    }
    Tracee& tracee = table_.add(tid, pid, options_.style, TraceeState::kAttaching);
    tracee.own_stop_pending = !seize;
    if (tid != base::main_thread(pid)) emitter_.task_seen(pid, tid, pid, Emitter::Origin::kFound);
    if (seize) static_cast<void>(kernel::interrupt(tid));
    ++added;
  }
  return added;
}

}  // namespace stucktrace::engine
