#include "tracer/kernel/waiter.h"

#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace stucktrace::kernel {

Waiter::Waiter()
    : call_([](int* status, bool block) -> int {
        // Not by wait4(3): a point of cancellation costs it a tenth of a stop's own time, and no
        // thread of ours is cancelled.
        const long tid =
            ::syscall(SYS_wait4, -1, status, __WALL | __WNOTHREAD | (block ? 0 : WNOHANG), nullptr);
        return tid < 0 ? -errno : static_cast<int>(tid);
      }) {}

bool Waiter::has_end_of(base::Tid tid) const {
  return std::ranges::any_of(ready_, [tid](const WaitReport& report) {
    return report.tid == tid && !report.status.stopped();
  });
}

Waiter::Outcome Waiter::next(WaitHow how, WaitReport& report, bool alone) {
  if (ready_.empty()) {
    int status = 0;
    const int got = call_(&status, how == WaitHow::kBlock);
    if (got == 0) return Outcome::kNothing;
    if (got == -EINTR) return Outcome::kInterrupted;
    if (got == -ECHILD) return Outcome::kNoTracees;
    if (got < 0) return Outcome::kFailed;
    if (alone) {
      report = {base::Tid{got}, WaitStatus{status}};
      return Outcome::kReport;
    }
    ready_.push_back({base::Tid{got}, WaitStatus{status}});
    // Whoever else is ready now goes before this task's next stop.
    constexpr std::size_t kBatch = 64;
    while (ready_.size() < kBatch) {
      const int more = call_(&status, false);
      if (more <= 0) break;
      ready_.push_back({base::Tid{more}, WaitStatus{status}});
    }
  }
  report = ready_.front();
  ready_.pop_front();
  return Outcome::kReport;
}

}  // namespace stucktrace::kernel
