#pragma once

#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <mutex>
#include <thread>
#include <vector>

#include "tracer/base/clock.h"
#include "tracer/base/ids.h"

namespace stucktrace::engine {

// Ends the blocking wait4 of tracer threads, and a waiting attach: regularly, and when a signal for
// the tool itself arrives. Signals are blocked in the whole process (make it before other threads)
// and taken by a thread of its own, so nothing runs in signal context and no wake-up can be lost: a
// kick that comes between the check and wait4 is followed by the next tick.
class Ticker {
 public:
  struct Received {
    int signo = 0;
    bool by_terminal = false;  // typed (SI_KERNEL), so that the foreground job got it as well
    base::Pid sender;          // unknown for one that the kernel made
  };

  // One thread's share, that of its maker. Used by that thread alone.
  class Beat {
   public:
    explicit Beat(Ticker& ticker);
    ~Beat();
    Beat(const Beat&) = delete;
    Beat& operator=(const Beat&) = delete;
    // True once per interval.
    bool take_tick() { return due_.exchange(false, std::memory_order_relaxed); }
    // Signals for the tool since the last call.
    std::vector<Received> take_signals();

   private:
    friend class Ticker;
    Ticker& ticker_;
    pthread_t owner_;
    std::atomic<bool> due_{false};
    std::vector<Received> signals_;  // guarded by the ticker's mutex
  };

  explicit Ticker(base::Nanoseconds interval);
  ~Ticker();
  Ticker(const Ticker&) = delete;
  Ticker& operator=(const Ticker&) = delete;

  // Its own signal, by which it ends system calls of this process.
  static int kick_signal();

  // The signal mask from before; a launched command must start with it.
  const sigset_t& original_mask() const { return original_mask_; }

 private:
  void work(const std::stop_token& stop);

  base::Nanoseconds interval_;
  sigset_t original_mask_{};
  sigset_t handled_{};
  // Those that would end or stop the tool and are not meant for it: a command that signals its own
  // process group reaches the tool as well, which must outlive that.
  sigset_t shielded_{};
  std::mutex mutex_;
  std::vector<Beat*> beats_;
  std::jthread thread_;
};

}  // namespace stucktrace::engine
