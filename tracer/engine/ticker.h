#pragma once

#include <signal.h>

#include <atomic>
#include <mutex>
#include <thread>
#include <vector>

#include "tracer/base/clock.h"

namespace stucktrace::engine {

// Ends a blocking wait4 of the thread that made this object: regularly, and when a signal for the
// tool itself arrives. Signals are blocked in the whole process and taken by a thread of their own,
// so nothing runs in signal context and no wake-up can be lost: a kick that comes between the check
// and wait4 is followed by the next tick.
class Ticker {
 public:
  struct Received {
    int signo = 0;
    bool by_terminal = false;  // typed (SI_KERNEL), so that the foreground job got it as well
  };
  explicit Ticker(base::Nanoseconds interval);
  ~Ticker();
  Ticker(const Ticker&) = delete;
  Ticker& operator=(const Ticker&) = delete;

  // True once per interval.
  bool take_tick() { return due_.exchange(false, std::memory_order_relaxed); }
  // Signals for the tool since the last call.
  std::vector<Received> take_signals();
  // The signal mask from before; a launched command must start with it.
  const sigset_t& original_mask() const { return original_mask_; }

 private:
  void work(const std::stop_token& stop);

  base::Nanoseconds interval_;
  pthread_t owner_;
  sigset_t original_mask_{};
  sigset_t handled_{};
  std::atomic<bool> due_{false};
  std::mutex mutex_;
  std::vector<Received> signals_;
  std::jthread thread_;
};

}  // namespace stucktrace::engine
