// usage: deep_threads [THREADS [DEPTH]]
//
// THREADS threads (default 8), each DEPTH calls deep (default 20) and there blocked in a read of
// one pipe, until the end of stdin closes it. What it costs to look at many blocked threads, or to
// follow them, is measured on it. Prints "ended N" with the number of threads that read the end.

#include <atomic>
#include <thread>
#include <vector>

#include "target/target.h"

namespace {

// The depth is the point, so no call may become a jump.
[[gnu::noinline]] long descend(int fd, int depth) {
  volatile long below = 0;
  if (depth > 0) {
    below = descend(fd, depth - 1);
    return below;
  }
  char byte = 0;
  below = ::read(fd, &byte, 1);
  return below;
}

}  // namespace

int main(int argc, char** argv) {
  const auto threads = static_cast<std::size_t>(target::number_argument(argc, argv, 1, 8, 4000));
  const int depth = static_cast<int>(target::number_argument(argc, argv, 2, 20, 200));

  const target::PipeEnds pipe = target::make_pipe();
  std::atomic<int> ended = 0;
  std::vector<std::thread> all;
  all.reserve(threads);
  for (std::size_t i = 0; i < threads; ++i) {
    all.emplace_back([&ended, &pipe, depth] {
      if (descend(pipe.read_end, depth) == 0) ++ended;
    });
  }
  target::announce_ready();
  target::wait_for_stdin_end();
  ::close(pipe.write_end);
  for (std::thread& one : all) one.join();
  target::say("ended %d", ended.load());
  return ended == static_cast<int>(threads) ? 0 : 1;
}
