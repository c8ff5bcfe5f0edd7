#include "tracer/engine/ticker.h"

#include <pthread.h>

#include <ctime>
#include <utility>

namespace stucktrace::engine {
namespace {

// Only to end wait4 with EINTR: a handler must exist, and without SA_RESTART.
int kick_signal() {
  return SIGRTMIN + 5;
}
void do_nothing(int) {}

timespec to_timespec(base::Nanoseconds duration) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(duration);
  return {seconds.count(), (duration - seconds).count()};
}

}  // namespace

Ticker::Ticker(base::Nanoseconds interval) : interval_(interval), owner_(pthread_self()) {
  struct sigaction action{};
  action.sa_handler = do_nothing;
  sigaction(kick_signal(), &action, nullptr);
  sigemptyset(&handled_);
  for (const int signo : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGTSTP}) {
    sigaddset(&handled_, signo);
  }
  pthread_sigmask(SIG_BLOCK, &handled_, &original_mask_);
  thread_ = std::jthread([this](const std::stop_token& stop) { work(stop); });
}

Ticker::~Ticker() {
  thread_.request_stop();
  thread_.join();
  // What arrived unseen must not strike at the unblocking: it was meant for a run that is over.
  const timespec now{};
  while (sigtimedwait(&handled_, nullptr, &now) > 0) {
  }
  pthread_sigmask(SIG_SETMASK, &original_mask_, nullptr);
}

std::vector<Ticker::Received> Ticker::take_signals() {
  const std::scoped_lock lock(mutex_);
  return std::exchange(signals_, {});
}

void Ticker::work(const std::stop_token& stop) {
  const timespec interval = to_timespec(interval_);
  while (!stop.stop_requested()) {
    siginfo_t info{};
    const int signo = sigtimedwait(&handled_, &info, &interval);
    if (signo > 0) {
      const std::scoped_lock lock(mutex_);
      signals_.push_back({signo, info.si_code == SI_KERNEL});
    }
    due_.store(true, std::memory_order_relaxed);
    pthread_kill(owner_, kick_signal());
  }
}

}  // namespace stucktrace::engine
