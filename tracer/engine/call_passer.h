#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "tracer/base/clock.h"
#include "tracer/base/unique_fd.h"

namespace stucktrace::engine {

// Lets processes that were let go live under a filter that outlasts its tracer: a thread says "go
// on" to every call that waits for one of the listeners (kernel/filter_listener.h). When the object
// ends, so do they: those calls then fail with ENOSYS.
class CallPasser {
 public:
  CallPasser() = default;
  ~CallPasser();
  CallPasser(const CallPasser&) = delete;
  CallPasser& operator=(const CallPasser&) = delete;

  void add(base::UniqueFd listener);
  // Some task under one of the filters lives.
  bool busy();
  // Until it is not, or the time is over.
  void wait(base::Nanoseconds limit);

 private:
  void work();

  std::mutex mutex_;
  std::vector<base::UniqueFd> added_;  // not yet taken over by the thread
  int alive_ = 0;
  std::condition_variable fewer_;
  base::UniqueFd wake_;
  std::atomic<bool> ending_{false};
  std::jthread thread_;
};

}  // namespace stucktrace::engine
