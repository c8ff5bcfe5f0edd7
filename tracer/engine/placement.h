#pragma once

#include <cstdint>

#include "tracer/base/clock.h"

namespace stucktrace::engine {

// Where the tracer's thread runs. A stop wakes the tracer and its end wakes the tracee; if the
// scheduler puts the woken side on an idle CPU, waking that costs tens of microseconds, twice per
// stop. On the tracee's own CPU both cost three.
enum class Placement : std::uint8_t {
  kNormal,  // as the scheduler likes
  // Class SCHED_IDLE, on the CPU the tracee last ran on alone: that CPU counts as idle, so that the
  // resumed tracee stays there and takes it over at once. The tracee itself is never touched.
  kLocal,
};

enum class PlacementPolicy : std::uint8_t {
  kAuto,    // LOCAL, left and entered by measurement
  kOneWay,  // may enter SCHED_IDLE and not leave it (unprivileged): only for a dense lone thread
  kNormal,  // never LOCAL
  kLocal,   // always
};

// Decides from the times of stops alone; what it decides is carried out by Placer. Pure: one
// thread, no clock, no system call.
//
// LOCAL is no good where the tracee's threads want all CPUs. So each state is measured over a
// window of stops: LOCAL with many late stops, or NORMAL with a high rate, tries the other state
// for one window and keeps it only if it is clearly faster. A failed trial makes the next one
// later.
class PlacementController {
 public:
  struct Limits {
    std::uint32_t window_stops = 256;
    base::Nanoseconds window = std::chrono::milliseconds{20};
    base::Nanoseconds late = std::chrono::microseconds{20};  // from resume to stop
    double late_share = 0.25;                                // of a window's stops, in LOCAL
    double busy_rate = 2000;                                 // stops per second, in NORMAL
    // What a trial must bring to be kept. Where both are about as fast the tracer had better be out
    // of its tracees' way: so it is with many short processes.
    double gain = 1.3;            // by LOCAL
    double gain_of_normal = 1.1;  // by NORMAL: more than noise
    base::Nanoseconds first_backoff = std::chrono::milliseconds{100};
    base::Nanoseconds last_backoff = std::chrono::seconds{4};
    // Following the tracee from CPU to CPU: two stops in a row later than this are worth a look at
    // where it runs, and looks are this far apart (a move costs some 40 µs).
    base::Nanoseconds follow_late = std::chrono::microseconds{15};
    base::Nanoseconds follow_pause = std::chrono::microseconds{300};
    std::uint32_t one_way_windows = 8;  // kOneWay: dense windows in a row before it is entered
  };

  enum class Step : std::uint8_t {
    kStay,
    kFollow,    // LOCAL: look where the tracee runs, and go there
    kGoLocal,   // to the CPU of the tracee that has just stopped
    kGoNormal,  // class and CPU mask as they were at the start
  };

  struct Counters {
    std::uint64_t trials = 0;
    std::uint64_t kept = 0;     // trials that brought enough
    std::uint64_t rescues = 0;  // the watchdog found the tracer starving
    std::uint64_t follows = 0;
  };

  explicit PlacementController(PlacementPolicy policy) : PlacementController(policy, Limits{}) {}
  PlacementController(PlacementPolicy policy, const Limits& limits);

  // A tracee has stopped at `now`; the newest resume of any tracee was at `resumed`. `alone`: it is
  // the only task there is.
  Step on_stop(base::Instant now, base::Instant resumed, bool alone);
  // The step could not be carried out (no permission, CPU unknown): it stays NORMAL for good.
  void refused();
  // The watchdog has put the thread back to NORMAL.
  void rescued(base::Instant now);

  Placement placement() const { return placement_; }
  const Counters& counters() const { return counters_; }

 private:
  Step end_of_window(base::Instant now, double rate, double late_share, bool alone);
  Step move_to(Placement placement);
  void back_off(base::Instant now);

  PlacementPolicy policy_;
  Limits limits_;
  Placement placement_ = Placement::kNormal;
  Counters counters_;
  bool started_ = false;
  // The window.
  base::Instant window_start_;
  bool window_open_ = false;
  std::uint32_t stops_ = 0;
  std::uint32_t late_ = 0;
  // The trial, if one is on: what the other state was measured at.
  bool trial_ = false;
  double rate_before_ = 0;
  base::Instant next_trial_;
  base::Nanoseconds backoff_;
  // Following.
  std::uint32_t late_in_a_row_ = 0;
  base::Instant last_follow_;
  std::uint32_t dense_windows_ = 0;
  bool entered_for_good_ = false;  // kOneWay
};

}  // namespace stucktrace::engine
