#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <thread>

#include "tracer/engine/tracer.h"
#include "tracer/kernel/own_threads.h"

namespace stucktrace::engine {

using kernel::Waiter;
using kernel::WaitHow;

base::Result<void> Tracer::attach(base::Pid pid) {
  if (table_.find(base::main_thread(pid)) != nullptr) return {};  // came along with its parent
  base::Pid parent;
  if (const auto stat = procfs_.stat(pid, std::nullopt)) parent = base::Pid{stat->parent};
  // Everything that a stop could disturb is read first.
  emitter_.task_seen(pid, base::main_thread(pid), parent, Emitter::Origin::kFound);
  // Threads make threads while we attach: until a pass finds no new one.
  constexpr int kPasses = 100;
  for (int pass = 0; pass < kPasses; ++pass) {
    const auto added = attach_new_threads(pid, pass > 0);
    if (!added) {
      if (pass > 0 || !table_.threads_of(pid).empty()) {
        Outcome ignored;
        detach_all("attaching failed", ignored);
      }
      return base::Failure{added.error()};
    }
    if (added->tasks == 0 && !added->not_yet && !has_lost_main(pid)) return {};
    if (added->not_yet && pass == kPasses - 1) {
      Outcome ignored;
      detach_all("attaching failed", ignored);
      return base::Failure{*added->not_yet};
    }
  }
  return {};  // the auto-attach of clone events covers whatever a storm still makes
}

// The caller of an execve(2) takes the number of the main thread, which ends without a report
// (ptrace(2)). True if that was our tracee and the other is not.
bool Tracer::has_lost_main(base::Pid pid) {
  const base::Tid main = base::main_thread(pid);
  if (table_.find(main) == nullptr) return false;
  const auto status = procfs_.status(pid, main);
  if (!status || kernel::tracer_process(status->tracer) == ::getpid()) return false;
  table_.remove(main);
  return true;
}

// An execve(2) waits till the other threads have ended, those of ours till their ends are taken.
void Tracer::let_exec_go_on(base::Pid pid) {
  kernel::WaitReport report;
  while (waiter_.next(WaitHow::kNoBlock, report) == Waiter::Outcome::kReport) dispatch(report);
  static_cast<void>(has_lost_main(pid));
}

base::Result<Tracer::Attached> Tracer::attach_new_threads(base::Pid pid, bool again) {
  const auto tids = procfs_.tasks(pid);
  if (!tids) return base::Failure{tids.error()};
  Attached added;
  for (const base::Tid tid : *tids) {
    if (table_.find(tid) != nullptr) continue;
    const bool seize = options_.style == kernel::TraceStyle::kSeize;
    if (auto done = seize ? kernel::seize(tid, tracee_options()) : kernel::attach(tid); !done) {
      if (done.error().code.value() == EINTR) {
        let_exec_go_on(pid);
        added.not_yet = base::system_error("attaching during an execve(2) that does not end",
                                           base::Errno{EBUSY}, tid)
                            .error();
        return added;
      }
      if (done.error().kind == base::ErrorKind::kGone && tid != base::main_thread(pid)) continue;
      // A main thread that has ended before the others cannot be traced, and does nothing any more.
      const auto stat = procfs_.stat(pid, tid);
      if (tids->size() > 1 && stat && stat->state == 'Z') continue;
      // A thread that was cloned by one we hold is attached already and will report itself.
      const auto status = procfs_.status(pid, tid);
      if (status && kernel::tracer_process(status->tracer) == ::getpid()) continue;
      // It was the main thread when we asked, and an execve(2) has put another in its place.
      if (const auto now = procfs_.tasks(pid); !now || *now != *tids) {
        added.not_yet = done.error();
        return added;
      }
      return base::Failure{done.error()};
    }
    Tracee& tracee = table_.add(tid, pid, options_.style, TraceeState::kAttaching);
    tracee.own_stop_pending = !seize;
    if (tid != base::main_thread(pid)) {
      emitter_.task_seen(pid, tid, pid, Emitter::Origin::kFound);
    } else if (again) {
      // What it was before its execve(2) has been told.
      const auto stat = procfs_.stat(pid, std::nullopt);
      emitter_.task_seen(pid, tid, base::Pid{stat ? stat->parent : 0}, Emitter::Origin::kFound);
    }
    if (seize) static_cast<void>(kernel::interrupt(tid));
    ++added.tasks;
  }
  return added;
}

}  // namespace stucktrace::engine
