// usage: longest_gap [THREADS]
//
// THREADS threads (default 1) compute until the end of stdin and watch what keeps them from it.
// Such a thread never blocks, so that each time it gave up the CPU by itself (getrusage(2))
// somebody has stopped it. Prints "stops N longest MICROSECONDS": how often that was, of all
// threads, and the longest time between two turns of a loop in which the scheduler had not put
// another task in its place.

#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <latch>
#include <mutex>
#include <thread>
#include <vector>

#include "target/target.h"

namespace {

using Clock = std::chrono::steady_clock;

rusage own_usage() {
  rusage usage{};
  if (::getrusage(RUSAGE_THREAD, &usage) != 0) target::fail("getrusage");
  return usage;
}

struct Seen {
  long stops = 0;
  Clock::duration longest{};
};

Seen compute(const std::atomic<bool>& end, std::latch& started) {
  // Shorter ones are the machine's, and asking about each would be a loop of system calls.
  constexpr auto kGap = std::chrono::microseconds{20};
  Seen seen;
  started.arrive_and_wait();
  const rusage before = own_usage();
  long preemptions = before.ru_nivcsw;
  Clock::time_point last = Clock::now();
  while (!end.load(std::memory_order_relaxed)) {
    const Clock::time_point now = Clock::now();
    if (now - last > kGap) {
      const long until_now = own_usage().ru_nivcsw;
      if (until_now == preemptions) seen.longest = std::max(seen.longest, now - last);
      preemptions = until_now;
    }
    last = now;
  }
  seen.stops = own_usage().ru_nvcsw - before.ru_nvcsw;
  return seen;
}

}  // namespace

int main(int argc, char** argv) {
  const int threads = static_cast<int>(target::number_argument(argc, argv, 1, 1, 256));
  std::atomic<bool> end = false;
  std::latch started(threads + 1);
  std::mutex mutex;
  Seen all;
  std::vector<std::thread> computing;
  computing.reserve(static_cast<std::size_t>(threads));
  for (int i = 0; i < threads; ++i) {
    computing.emplace_back([&] {
      const Seen seen = compute(end, started);
      const std::scoped_lock lock(mutex);
      all.stops += seen.stops;
      all.longest = std::max(all.longest, seen.longest);
    });
  }
  started.arrive_and_wait();
  target::announce_ready();
  target::wait_for_stdin_end();
  end = true;
  for (std::thread& one : computing) one.join();
  target::say("stops %ld longest %lld", all.stops,
              static_cast<long long>(
                  std::chrono::duration_cast<std::chrono::microseconds>(all.longest).count()));
}
