#pragma once

#include <deque>
#include <functional>
#include <optional>

#include "tracer/base/clock.h"
#include "tracer/base/ids.h"
#include "tracer/base/result.h"
#include "tracer/kernel/wait_status.h"

namespace stucktrace::kernel {

struct WaitReport {
  base::Tid tid;
  WaitStatus status;
};

enum class WaitHow : unsigned char {
  kBlock,    // until a report or a signal to this thread
  kNoBlock,  // only what is ready
};

// The only place where tracees are waited for: those of the calling thread (__WNOTHREAD), since
// each tracer thread has its own. wait4(-1) favours the youngest tracee, so a busy one
// could starve the others: everything that is ready is drained first and handed out in the order it
// came, one report per task and round.
class Waiter {
 public:
  // Stands for wait4(2) with __WALL: returns the tid, 0 for "nothing ready", or -errno.
  using WaitCall = std::function<int(int* status, bool block)>;
  Waiter();  // the real wait4
  explicit Waiter(WaitCall call) : call_(std::move(call)) {}

  enum class Outcome : unsigned char {
    kReport,
    kNothing,      // kNoBlock and nothing ready
    kInterrupted,  // a signal came (EINTR)
    kNoTracees,    // ECHILD
    kFailed,
  };
  // `alone`: one task is traced, so that nobody else can be ready.
  Outcome next(WaitHow how, WaitReport& report, bool alone = false);

  // Nothing that was waited for has still to be handed out.
  bool drained() const { return ready_.empty(); }
  // The task's end has been waited for and not been handed out yet: its number may be another's.
  bool has_end_of(base::Tid tid) const;

 private:
  WaitCall call_;
  std::deque<WaitReport> ready_;
};

}  // namespace stucktrace::kernel
