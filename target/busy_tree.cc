// usage: busy_tree [PROCESSES]
//
// PROCESSES (default 3) that never rest, each with threads that work in different ways: a pair that
// passes a byte to and fro, one that sleeps shortly, one that makes threads, one that makes
// processes, one that computes. Prints "pid P" for each process (its own first), then ready. For
// each byte on stdin it waits until every thread has got on and prints "alive", or "stuck P.T"
// after a minute. At the end of stdin it ends all and prints "wrong N": calls that failed,
// children that ended otherwise than they should.

#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include <atomic>
#include <thread>
#include <vector>

#include "target/target.h"

namespace {

constexpr int kMaxProcesses = 16;
constexpr int kThreads = 6;
// Of a loaded machine: three such trees at once take up to 20 seconds on two CPUs, nobody tracing.
constexpr int kPatienceMs = 60000;

struct Shared {
  std::atomic<long> beats[kMaxProcesses][kThreads] = {};
  std::atomic<long> wrong = 0;
  std::atomic<bool> end = false;
};

Shared* shared = nullptr;

void expect(bool right) {
  if (!right) ++shared->wrong;
}

void ping(int process, int thread, int in, int out) {
  char byte = 'p';
  if (thread == 0) expect(::write(out, &byte, 1) == 1);
  while (!shared->end) {
    expect(::read(in, &byte, 1) == 1);
    ++shared->beats[process][thread];
    expect(::write(out, &byte, 1) == 1);
  }
  // The other may have looked at the end just before it came, and be waiting once more.
  expect(::write(out, &byte, 1) == 1);
}

[[gnu::noinline]] pid_t vfork_true() {
  const pid_t child = ::vfork();  // NOLINT(bugprone-unsafe-functions): the subject
  if (child == 0) {
    ::execl("/bin/true", "true", nullptr);
    ::_exit(127);
  }
  return child;
}

void make_processes(std::atomic<long>& beats) {
  for (bool by_fork = false; !shared->end; by_fork = !by_fork) {
    const pid_t child = by_fork ? target::in_child([] { return 0; }) : vfork_true();
    int status = -1;
    expect(::waitpid(child, &status, 0) == child && status == 0);
    ++beats;
  }
}

void be_busy(int process) {
  const target::PipeEnds there = target::make_pipe();
  const target::PipeEnds back = target::make_pipe();
  std::atomic<long>* beats = shared->beats[process];
  std::vector<std::thread> threads;
  threads.emplace_back([=] { ping(process, 0, back.read_end, there.write_end); });
  threads.emplace_back([=] { ping(process, 1, there.read_end, back.write_end); });
  threads.emplace_back([=] {
    while (!shared->end) {
      expect(::poll(nullptr, 0, 1) == 0);
      ++beats[2];
    }
  });
  threads.emplace_back([=] {
    while (!shared->end) {
      std::thread([] {}).join();
      ++beats[3];
    }
  });
  threads.emplace_back([=] { make_processes(beats[4]); });
  threads.emplace_back([=] {
    while (!shared->end) {
      for (unsigned i = 0; i < 100000; ++i) asm volatile("" ::"r"(i));
      ++beats[5];
      ::poll(nullptr, 0, 1);  // the machine is not ours alone
    }
  });
  for (std::thread& thread : threads) thread.join();
}

void say_whether_alive(int processes) {
  long before[kMaxProcesses][kThreads];
  for (int p = 0; p < processes; ++p) {
    for (int t = 0; t < kThreads; ++t) before[p][t] = shared->beats[p][t];
  }
  for (int p = 0; p < processes; ++p) {
    for (int t = 0; t < kThreads; ++t) {
      for (int ms = 0; shared->beats[p][t] < before[p][t] + 2; ++ms) {
        if (ms > kPatienceMs) return target::say("stuck %d.%d", p, t);
        ::poll(nullptr, 0, 1);
      }
    }
  }
  target::say("alive");
}

}  // namespace

int main(int argc, char** argv) {
  const int processes =
      static_cast<int>(target::number_argument(argc, argv, 1, 3, kMaxProcesses - 1));
  void* memory =
      ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) target::fail("mmap");
  shared = new (memory) Shared;
  target::say("pid %d", ::getpid());
  std::vector<pid_t> children;
  for (int process = 0; process < processes; ++process) {
    children.push_back(target::in_child([process] {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      be_busy(process);
      return 0;
    }));
    target::say("pid %d", children.back());
  }
  target::announce_ready();
  char byte = 0;
  for (;;) {
    const ssize_t got = ::read(STDIN_FILENO, &byte, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    say_whether_alive(processes);
  }
  shared->end = true;
  for (const pid_t child : children) expect(target::wait_for(child) == 0);
  target::say("wrong %ld", shared->wrong.load());
}
