// usage: spin [THREADS]
//
// THREADS threads (default 1) named spin-0 ... compute without a system call; the main thread waits
// for the end of stdin and then ends them. Ready once every one of them computes.

#include <pthread.h>

#include <atomic>
#include <latch>
#include <string>
#include <thread>
#include <vector>

#include "target/target.h"

int main(int argc, char** argv) {
  const int threads = static_cast<int>(target::number_argument(argc, argv, 1, 1, 256));
  std::atomic<bool> stop = false;
  std::latch started(threads);
  std::vector<std::thread> spinners;
  spinners.reserve(static_cast<std::size_t>(threads));
  for (int i = 0; i < threads; ++i) {
    spinners.emplace_back([&stop, &started, i] {
      ::pthread_setname_np(::pthread_self(), ("spin-" + std::to_string(i)).c_str());
      started.count_down();
      while (!stop.load(std::memory_order_relaxed)) {
      }
    });
  }
  started.wait();
  target::announce_ready();
  target::wait_for_stdin_end();
  stop = true;
  for (std::thread& spinner : spinners) spinner.join();
}
