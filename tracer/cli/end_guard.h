#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "tracer/base/clock.h"

namespace stucktrace::cli {

// The last resort against a run that has decided to end and does not: a read of /proc that never
// returns, a terminal that is held, a file system that hangs. Ends the process with a status, where
// it stands; the kernel then kills what is still traced.
class EndGuard {
 public:
  EndGuard();
  ~EndGuard();
  EndGuard(const EndGuard&) = delete;
  EndGuard& operator=(const EndGuard&) = delete;

  // Another call takes the place of the one before.
  void arm(base::Nanoseconds from_now, int status);
  bool armed() const;
  void change_status(int status);
  // Done before that, for as long as it takes but a second. On a thread of its own.
  void do_first(std::function<void()> deed);

 private:
  void work(const std::stop_token& stop);
  [[noreturn]] void end_process() const;
  mutable std::mutex mutex_;
  std::condition_variable_any wake_;
  std::optional<base::Instant> at_;
  int status_ = 0;
  std::function<void()> deed_;
  std::jthread thread_;
};

}  // namespace stucktrace::cli
