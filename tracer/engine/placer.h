#pragma once

#include <time.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "tracer/base/clock.h"
#include "tracer/base/ids.h"
#include "tracer/engine/placement.h"
#include "tracer/kernel/affinity.h"

namespace stucktrace::engine {

// Carries out what a PlacementController decides, for the thread that made the object: its class
// and CPU mask, put back at the end. A starved tracer cannot help itself, so a watchdog thread puts
// it back to NORMAL when it could run, for milliseconds, and does not.
class Placer {
 public:
  explicit Placer(PlacementPolicy policy);
  ~Placer();
  Placer(const Placer&) = delete;
  Placer& operator=(const Placer&) = delete;

  // What kAuto comes to here: kOneWay without the right to leave SCHED_IDLE, kNormal on one CPU.
  static PlacementPolicy resolve(PlacementPolicy wanted);

  // At each stop, before anything else. `tracee` has stopped, so its last CPU is where it runs.
  void on_stop(base::Tid tracee, base::Instant now, bool alone);
  // Right before each resume.
  void on_resume(base::Instant now) { resumed_ = now; }
  // No more stops to come: class and CPU mask are put back, for good.
  void finish();
  // The CPU the tracer shares with its tracee, -1 in NORMAL. From any thread: other threads of the
  // tool keep off it.
  int shared_cpu() const { return shared_cpu_.load(std::memory_order_relaxed); }

  const PlacementController& controller() const { return controller_; }
  // "LOCAL now, 3 trials (1 kept), 0 rescues, 12 moves": for -v.
  std::string description() const;

 private:
  void go_local(base::Tid tracee);
  void go_normal();
  void follow(base::Tid tracee);
  void watch(const std::stop_token& stop);
  bool starving();

  PlacementPolicy policy_;
  PlacementController controller_;
  base::Tid thread_;
  std::optional<kernel::CpuSet> original_;
  base::Instant resumed_;
  std::uint64_t moves_ = 0;
  bool finished_ = false;
  std::atomic<int> shared_cpu_{-1};
  std::atomic<std::uint64_t> progress_{0};
  std::atomic<bool> local_{false};
  std::atomic<bool> rescued_{false};
  // The watchdog's own.
  clockid_t thread_time_{};  // CPU time the tracer's thread has used
  std::uint64_t last_progress_ = 0;
  base::Nanoseconds last_used_{};
  base::Nanoseconds last_look_{};
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::jthread watchdog_;  // last: ends before what it uses
};

}  // namespace stucktrace::engine
