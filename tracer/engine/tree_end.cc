#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "tracer/engine/tracer.h"

// Ending the tree: what ptrace(2) follows is known exactly, and no number of it can come to mean
// another process before its end was waited for here (and dispatched: see run()).

namespace stucktrace::engine {

std::vector<base::Pid> Tracer::processes() const {
  std::vector<base::Pid> pids;
  if (root_untraced_) pids.push_back(root_);
  for (const base::Tid tid : table_.all()) {
    const Tracee& tracee = *table_.find(tid);
    pids.push_back(tracee.pid ? tracee.pid : base::Pid{tid.value()});  // held: still unknown whose
  }
  std::ranges::sort(pids);
  const auto doubles = std::ranges::unique(pids);
  pids.erase(doubles.begin(), doubles.end());
  return pids;
}

void Tracer::signal_tree(int signo) {
  // Ending is no work for the idle class.
  placer_.finish();
  if (signo == SIGKILL) killing_ = true;
  for (const base::Pid pid : processes()) {
    static_cast<void>(kernel::send_signal(pid, signo));
    // What job control has stopped must run to take it.
    if (signo != SIGKILL) static_cast<void>(kernel::send_signal(pid, SIGCONT));
  }
}

// No stopped task gets a chance to make another one.
void Tracer::kill_stopped(const kernel::WaitReport& report) {
  if (!report.status.stopped()) return;
  const Tracee* tracee = table_.find(report.tid);
  const bool known = tracee != nullptr && tracee->pid;
  const base::Pid pid = known ? tracee->pid : base::Pid{report.tid.value()};
  if (waiter_.has_end_of(base::main_thread(pid))) return;
  static_cast<void>(kernel::send_signal(pid, SIGKILL));
}

}  // namespace stucktrace::engine
