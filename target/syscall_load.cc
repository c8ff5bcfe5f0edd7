// usage: syscall_load threads [THREADS [ROUNDS]]
//        syscall_load forks [ROUNDS]
//        syscall_load calls [ROUNDS]
//
// A load to measure tracers with; it starts at once and waits for nobody outside. `threads`:
// THREADS threads (default 4), each with ROUNDS (default 1000) turns of four short calls: a read of
// /dev/zero, a write to /dev/null, an lseek and a getppid. `forks`: ROUNDS children (default 100),
// one after the other, that end at once. `calls`: ROUNDS getppids (default 1000), a call that
// nobody needs for a diagnosis. Prints "threads N rounds M", "forks N" or "calls N ns T" with what
// was really done and, in the last, how long the loop took.

#include <sys/syscall.h>
#include <sys/wait.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "target/target.h"

namespace {

constexpr double kMostRounds = 1e8;

// Descriptors of its own, so that threads share no file position and no lock on one. False when a
// call did not do what it should.
bool turns(long rounds) {
  const int zero = ::open("/dev/zero", O_RDONLY | O_CLOEXEC);
  const int null = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (zero < 0 || null < 0) return false;
  char bytes[64];
  bool right = true;
  for (long i = 0; i < rounds && right; ++i) {
    const ssize_t size = sizeof bytes;
    right = ::read(zero, bytes, sizeof bytes) == size;
    right = right && ::write(null, bytes, sizeof bytes) == size;
    right = right && ::lseek(null, 0, SEEK_SET) == 0;
    right = right && ::syscall(SYS_getppid) >= 0;
  }
  ::close(zero);
  ::close(null);
  return right;
}

int run_threads(int threads, long rounds) {
  target::announce_ready();
  std::atomic<int> done = 0;
  std::vector<std::thread> all;
  all.reserve(static_cast<std::size_t>(threads));
  for (int i = 0; i < threads; ++i) {
    all.emplace_back([&done, rounds] {
      if (turns(rounds)) ++done;
    });
  }
  for (std::thread& one : all) one.join();
  target::say("threads %d rounds %ld", done.load(), rounds);
  return done == threads ? 0 : 1;
}

int run_forks(long rounds) {
  target::announce_ready();
  long done = 0;
  for (long i = 0; i < rounds; ++i) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(0);
    if (child < 0) break;
    int status = -1;
    if (::waitpid(child, &status, 0) == child && status == 0) ++done;
  }
  target::say("forks %ld", done);
  return done == rounds ? 0 : 1;
}

int run_calls(long rounds) {
  target::announce_ready();
  const auto begin = std::chrono::steady_clock::now();
  long done = 0;
  for (long i = 0; i < rounds; ++i) {
    if (::syscall(SYS_getppid) >= 0) ++done;
  }
  const std::chrono::nanoseconds took = std::chrono::steady_clock::now() - begin;
  target::say("calls %ld ns %lld", done, static_cast<long long>(took.count()));
  return done == rounds ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc >= 2 && std::strcmp(argv[1], "threads") == 0) {
    const int threads = static_cast<int>(target::number_argument(argc, argv, 2, 4, 256));
    return run_threads(
        threads, static_cast<long>(target::number_argument(argc, argv, 3, 1000, kMostRounds)));
  }
  if (argc >= 2 && std::strcmp(argv[1], "forks") == 0) {
    return run_forks(static_cast<long>(target::number_argument(argc, argv, 2, 100, kMostRounds)));
  }
  if (argc >= 2 && std::strcmp(argv[1], "calls") == 0) {
    return run_calls(static_cast<long>(target::number_argument(argc, argv, 2, 1000, kMostRounds)));
  }
  std::fprintf(stderr, "usage: %s threads [THREADS [ROUNDS]] | forks [ROUNDS] | calls [ROUNDS]\n",
               argv[0]);
  return 2;
}
