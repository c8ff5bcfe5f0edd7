#include "tracer/cli/end_guard.h"

#include <unistd.h>

#include <future>
#include <utility>

#include "tracer/kernel/quiet_thread.h"

namespace stucktrace::cli {

EndGuard::EndGuard() {
  thread_ = kernel::quiet_thread([this](const std::stop_token& stop) { work(stop); });
}

EndGuard::~EndGuard() {
  thread_.request_stop();
}

void EndGuard::arm(base::Nanoseconds from_now, int status) {
  const std::scoped_lock lock(mutex_);
  at_ = base::SystemClock{}.now() + from_now;
  status_ = status;
  wake_.notify_all();
}

bool EndGuard::armed() const {
  const std::scoped_lock lock(mutex_);
  return at_.has_value();
}

void EndGuard::change_status(int status) {
  const std::scoped_lock lock(mutex_);
  status_ = status;
}

void EndGuard::do_first(std::function<void()> deed) {
  const std::scoped_lock lock(mutex_);
  deed_ = std::move(deed);
}

void EndGuard::end_process() const {
  constexpr base::Nanoseconds kDeedLimit = std::chrono::seconds{1};
  std::promise<void> done;
  const std::future<void> is_done = done.get_future();
  std::optional<std::jthread> worker;
  if (deed_) {
    worker = kernel::quiet_thread([&] {
      deed_();
      done.set_value();
    });
    is_done.wait_for(kDeedLimit);
  }
  ::_exit(status_);
}

void EndGuard::work(const std::stop_token& stop) {
  const base::SystemClock clock;
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    if (!at_) {
      wake_.wait(lock, stop, [this] { return at_.has_value(); });
      continue;
    }
    const base::Instant waits_for = *at_;
    const base::Nanoseconds left = waits_for - clock.now();
    if (left <= base::Nanoseconds{}) end_process();
    wake_.wait_for(lock, stop, left, [&] { return *at_ != waits_for; });
  }
}

}  // namespace stucktrace::cli
