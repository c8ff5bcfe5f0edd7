// usage: clone_storm [THREADS [PROCESSES]]
//
// After go: PROCESSES (default 0) children that end at once and THREADS (default 100) threads that
// end at once, all in flight together as far as limits allow. Prints "threads N processes M" with
// what really was started and has ended.

#include <sys/wait.h>

#include <atomic>
#include <system_error>
#include <thread>
#include <vector>

#include "target/target.h"

namespace {

constexpr int kBatch = 256;  // threads alive at a time; far below any default limit

int storm_of_threads(int count) {
  std::atomic<int> ended = 0;
  while (count > 0) {
    std::vector<std::thread> batch;
    try {
      for (int i = 0; i < kBatch && i < count; ++i) batch.emplace_back([&ended] { ++ended; });
    } catch (const std::system_error&) {
      count = static_cast<int>(batch.size());  // a limit: what runs is joined, nothing more started
    }
    for (std::thread& thread : batch) thread.join();
    count -= static_cast<int>(batch.size());
  }
  return ended;
}

int storm_of_processes(int count) {
  int started = 0;
  for (; started < count; ++started) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(0);
    if (child < 0) break;
  }
  int ended = 0;
  while (ended < started && ::wait(nullptr) > 0) ++ended;
  return ended;
}

}  // namespace

int main(int argc, char** argv) {
  const int threads = static_cast<int>(target::number_argument(argc, argv, 1, 100, 1e6));
  const int processes = static_cast<int>(target::number_argument(argc, argv, 2, 0, 1e5));
  target::announce_ready();
  target::wait_for_go();
  const int processes_ended = storm_of_processes(processes);
  const int threads_ended = storm_of_threads(threads);
  target::say("threads %d processes %d", threads_ended, processes_ended);
  return threads_ended == threads && processes_ended == processes ? 0 : 1;
}
