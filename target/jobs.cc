// usage: jobs control [THREADS [ROUNDS]] | parent [THREADS] | stopped_exec | stopped_kill
//
// Job control as a shell does it, with the children's group-stops reported to their real parent:
//   control       after go: a child with THREADS threads (default 3) is stopped by each stop signal
//                 and continued, ROUNDS times (default 1); "signal N: code C status S" is what
//                 waitid(2) and SIGCHLD say, "stands still" that no thread ran while stopped
//   parent        the same once, but the child and its parent are told apart: prints "child PID"
//                 before ready, so that the child alone can be attached to
//   stopped_exec  after go: a child is stopped and execs when continued
//   stopped_kill  after go: stopped children are killed, by SIGKILL and by SIGTERM with SIGCONT

#include <poll.h>
#include <sys/mman.h>

#include <atomic>
#include <thread>
#include <vector>

#include "target/target.h"

namespace {

struct Shared {
  std::atomic<long> steps = 0;     // of all threads together
  std::atomic<int> running = 0;    // threads that have begun
  std::atomic<int> continues = 0;  // SIGCONT handled
  std::atomic<bool> end = false;
};

Shared* shared_memory() {
  void* memory =
      ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) target::fail("mmap");
  return new (memory) Shared;
}

Shared* shared = nullptr;

void count_continue(int) {
  ++shared->continues;
}

// Half of the threads sleep in a call, the others work.
int be_the_job(int threads) {
  ::setpgid(0, 0);
  struct sigaction action = {};
  action.sa_handler = count_continue;
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGCONT, &action, nullptr);
  const target::PipeEnds end = target::make_pipe();
  std::vector<std::thread> all;
  for (int i = 0; i < threads; ++i) {
    all.emplace_back([i, end] {
      ++shared->running;
      if (i % 2 == 0) {
        char byte = 0;
        while (::read(end.read_end, &byte, 1) < 0 && errno == EINTR) {
        }
        return;
      }
      while (!shared->end) {
        ++shared->steps;
        ::poll(nullptr, 0, 1);
      }
    });
  }
  ++shared->running;
  while (!shared->end) {
    ++shared->steps;
    ::poll(nullptr, 0, 1);
  }
  ::close(end.write_end);
  for (std::thread& thread : all) thread.join();
  return 0;
}

void take_sigchld(const char* how) {
  sigset_t only;
  sigemptyset(&only);
  sigaddset(&only, SIGCHLD);
  const timespec patience = {10, 0};
  siginfo_t info = {};
  if (::sigtimedwait(&only, &info, &patience) < 0) target::fail("no SIGCHLD");
  target::say("%s SIGCHLD code %d status %d", how, info.si_code, info.si_status);
}

void wait_and_say(pid_t child, int flags, const char* how) {
  siginfo_t info = {};
  if (::waitid(P_PID, static_cast<id_t>(child), &info, flags) != 0) target::fail("waitid");
  target::say("%s code %d status %d", how, info.si_code, info.si_status);
}

void wait_for_steps(long more) {
  const long before = shared->steps;
  while (shared->steps < before + more) ::sched_yield();
}

void stop_and_continue(pid_t child, int signal) {
  char how[32];
  std::snprintf(how, sizeof how, "signal %d:", signal);
  ::kill(child, signal);
  take_sigchld(how);
  wait_and_say(child, WSTOPPED, how);
  const long before = shared->steps;
  ::poll(nullptr, 0, 5);  // the time in which a thread left running would show itself
  target::say("%s %s", how, shared->steps == before ? "stands still" : "RUNS ON");
  ::kill(child, SIGCONT);
  take_sigchld(how);
  wait_and_say(child, WCONTINUED, how);
  wait_for_steps(3);
}

void block_sigchld() {
  sigset_t only;
  sigemptyset(&only);
  sigaddset(&only, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &only, nullptr);
}

int control(int argc, char** argv) {
  const int threads = static_cast<int>(target::number_argument(argc, argv, 1, 3, 10000));
  const int rounds = static_cast<int>(target::number_argument(argc, argv, 2, 1, 1e6));
  shared = shared_memory();
  block_sigchld();
  target::start();
  const pid_t child = target::in_child([threads] { return be_the_job(threads); });
  while (shared->running <= threads) ::sched_yield();
  for (int round = 0; round < rounds; ++round) {
    for (const int signal : {SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU}) stop_and_continue(child, signal);
  }
  shared->end = true;
  wait_and_say(child, WEXITED, "end:");
  target::say("continues handled %d", shared->continues.load());
  return 0;
}

int parent(int argc, char** argv) {
  const int threads = static_cast<int>(target::number_argument(argc, argv, 1, 3, 10000));
  shared = shared_memory();
  block_sigchld();
  const pid_t child = target::in_child([threads] { return be_the_job(threads); });
  while (shared->running <= threads) ::sched_yield();
  target::say("child %d", child);
  target::start();
  stop_and_continue(child, SIGSTOP);
  stop_and_continue(child, SIGTSTP);
  shared->end = true;
  wait_and_say(child, WEXITED, "end:");
  return 0;
}

int stopped_exec(int, char**) {
  target::start();
  const pid_t child = target::in_child([] {
    ::raise(SIGSTOP);
    ::execl("/bin/sh", "sh", "-c", "kill -STOP $$; exit 5", nullptr);
    return 1;
  });
  for (int i = 0; i < 2; ++i) {
    target::say_status("child", target::wait_for(child, WUNTRACED));
    ::kill(child, SIGCONT);
  }
  target::say_status("child", target::wait_for(child));
  return 0;
}

int stopped_kill(int, char**) {
  target::start();
  for (const int signal : {SIGKILL, SIGTERM}) {
    shared = shared_memory();
    const pid_t child = target::in_child([] { return be_the_job(20); });
    while (shared->running <= 20) ::sched_yield();
    ::kill(child, SIGSTOP);
    target::say_status("child", target::wait_for(child, WUNTRACED));
    ::kill(child, signal);
    if (signal != SIGKILL) {
      const pid_t early = ::waitpid(child, nullptr, WNOHANG);
      target::say("ended while stopped %d", early == child);
      ::kill(child, SIGCONT);
    }
    target::say_status("child", target::wait_for(child));
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return target::run_subject({{"control", control},
                              {"parent", parent},
                              {"stopped_exec", stopped_exec},
                              {"stopped_kill", stopped_kill}},
                             argc, argv);
}
