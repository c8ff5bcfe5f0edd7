#include "tracer/cli/leaving.h"

#include <algorithm>
#include <condition_variable>
#include <csignal>
#include <latch>
#include <memory>
#include <mutex>
#include <utility>

#include "tracer/kernel/quiet_thread.h"

namespace stucktrace::cli {
namespace {

bool asks_for_the_end(const engine::Ticker::Received& signal) {
  return signal.signo != SIGUSR1 && signal.signo != SIGTSTP;
}

}  // namespace

Leaving::Leaving(engine::Ticker& ticker, std::function<void()> on_told) {
  const auto listens = std::make_shared<std::latch>(1);
  const auto work = [&ticker, listens, told = std::move(on_told)](const std::stop_token& stop) {
    constexpr auto kPause = std::chrono::milliseconds{50};
    engine::Ticker::Beat beat(ticker);
    listens->count_down();
    std::mutex mutex;
    std::condition_variable_any wake;
    std::unique_lock lock(mutex);
    while (!stop.stop_requested()) {
      if (std::ranges::any_of(beat.take_signals(), asks_for_the_end)) told();
      wake.wait_for(lock, stop, kPause, [] { return false; });
    }
  };
  thread_ = kernel::quiet_thread(work);
  // A signal that comes from here on is heard, however busy the machine.
  listens->wait();
}

}  // namespace stucktrace::cli
