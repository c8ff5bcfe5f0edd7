// usage: timers restarts [MS] | clocks | eintr [CALLS] | ignored
//
// Time as a program sees it:
//   restarts  five calls with a time-out of MS (default 1000) begin before ready and may be stopped
//             and continued any number of times: each must last at least that long and end as a
//             time-out, "NAME whole"
//   clocks    after go: alarm, itimers, POSIX timers and timerfd count what the clock says
//   eintr     after go: four threads make CALLS (default 200) short blocking calls of each of
//             several kinds while children come and go and signals are handled with SA_RESTART;
//             prints how many ended with EINTR, which is none, and waits for the end of stdin
//   ignored   after go: signals that are ignored come while the program waits without a time-out,
//             each in turn, in calls that end with EINTR whenever they are woken; says what each
//             gives
// Nothing here limits how late something may be: a busy machine may delay every program.

#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>

#include <atomic>
#include <functional>
#include <thread>
#include <vector>

#include "target/target.h"

namespace {

std::int64_t now_ms() {
  timespec now = {};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

timespec span(std::int64_t ms) {
  return {ms / 1000, ms % 1000 * 1000000};
}

// ---- restarts

int restarts(int argc, char** argv) {
  const auto ms = static_cast<std::int64_t>(target::number_argument(argc, argv, 1, 1000, 1e6));
  struct Wait {
    const char* name;
    std::function<long(const timespec&)> call;
    long result = 0;
    int code = 0;
    std::int64_t lasted = 0;
  };
  static std::uint32_t word = 0;
  Wait waits[] = {
      {"poll",
       [](const timespec& limit) {
         return ::poll(nullptr, 0, static_cast<int>(limit.tv_sec * 1000 + limit.tv_nsec / 1000000));
       }},
      {"nanosleep", [](const timespec& limit) { return syscall(SYS_nanosleep, &limit, nullptr); }},
      {"clock_nanosleep",
       [](const timespec& limit) {
         return syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &limit, nullptr);
       }},
      {"futex",
       [](const timespec& limit) {
         return syscall(SYS_futex, &word, FUTEX_WAIT, 0, &limit, nullptr, 0);
       }},
      {"pselect",
       [](const timespec& limit) {
         return ::pselect(0, nullptr, nullptr, nullptr, &limit, nullptr);
       }},
  };
  std::vector<std::thread> threads;
  std::atomic<int> begun = 0;
  for (Wait& wait : waits) {
    threads.emplace_back([&wait, &begun, ms] {
      ++begun;
      const std::int64_t start = now_ms();
      errno = 0;
      wait.result = wait.call(span(ms));
      wait.code = wait.result < 0 ? errno : 0;
      wait.lasted = now_ms() - start;
    });
  }
  while (begun < static_cast<int>(std::size(waits))) ::sched_yield();
  target::start();
  for (std::thread& thread : threads) thread.join();
  for (const Wait& wait : waits) {
    const bool timed_out = wait.result == 0 || wait.code == ETIMEDOUT;
    // Clock ticks are rounded up, never down; the read of the clock may be one off.
    if (timed_out && wait.lasted + 1 >= ms) {
      target::say("%s whole", wait.name);
    } else {
      target::say("%s result %ld errno %d after %lld ms", wait.name, wait.result, wait.code,
                  static_cast<long long>(wait.lasted));
    }
  }
  return 0;
}

// ---- clocks

std::atomic<long> ticks = 0;

void count_tick(int /*number*/, siginfo_t* info, void* /*context*/) {
  ticks += 1 + (info->si_code == SI_TIMER ? info->si_overrun : 0);
}

void handle(int number, int flags) {
  struct sigaction action = {};
  action.sa_sigaction = count_tick;
  action.sa_flags = SA_SIGINFO | flags;
  ::sigaction(number, &action, nullptr);
}

int clocks(int, char**) {
  target::start();
  handle(SIGALRM, SA_RESTART);
  handle(SIGRTMIN, SA_RESTART);
  constexpr int kTicks = 50;
  constexpr long kStep = 10000000;  // ns

  std::int64_t start = now_ms();
  ::alarm(1);
  while (ticks == 0) ::pause();
  target::say("alarm not early %d ticks %ld", now_ms() - start >= 999, ticks.load());

  ticks = 0;
  start = now_ms();
  const itimerval step = {{0, kStep / 1000}, {0, kStep / 1000}};
  ::setitimer(ITIMER_REAL, &step, nullptr);
  while (ticks < kTicks) ::pause();
  const itimerval never = {};
  ::setitimer(ITIMER_REAL, &never, nullptr);
  target::say("itimer not early %d", now_ms() - start >= kTicks * 10 - 1);

  // These count what they could not deliver, so nothing is lost however late the program runs.
  ticks = 0;
  timer_t timer = nullptr;
  sigevent by_signal = {};
  by_signal.sigev_notify = SIGEV_SIGNAL;
  by_signal.sigev_signo = SIGRTMIN;
  if (::timer_create(CLOCK_MONOTONIC, &by_signal, &timer) != 0) target::fail("timer_create");
  const itimerspec steps = {{0, kStep}, {0, kStep}};
  start = now_ms();
  ::timer_settime(timer, 0, &steps, nullptr);
  while (ticks < kTicks) ::pause();
  const long counted = ticks;
  const std::int64_t passed = (now_ms() - start) / 10;
  ::timer_delete(timer);
  target::say("timer counts with the clock %d", counted <= passed + 1);

  const int fd = ::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
  start = now_ms();
  ::timerfd_settime(fd, 0, &steps, nullptr);
  std::uint64_t all = 0;
  while (all < kTicks) {
    std::uint64_t expirations = 0;
    if (::read(fd, &expirations, sizeof expirations) < 0) target::fail("read");
    all += expirations;
  }
  const auto passed_too = static_cast<std::uint64_t>((now_ms() - start) / 10);
  target::say("timerfd counts with the clock %d", all <= passed_too + 1);

  // CPU time is not counted while the program is stopped for somebody to look at it. By the clock
  // of the scheduler: setitimer(2) counts whole ticks of whoever runs at one.
  ticks = 0;
  by_signal.sigev_signo = SIGVTALRM;
  handle(SIGVTALRM, SA_RESTART);
  timespec before = {};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
  if (::timer_create(CLOCK_PROCESS_CPUTIME_ID, &by_signal, &timer) != 0) {
    target::fail("timer_create");
  }
  ::timer_settime(timer, 0, &steps, nullptr);
  while (ticks < 5) {
  }
  const long used_up = ticks;
  timespec after = {};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
  ::timer_delete(timer);
  const long used = (after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec;
  target::say("cpu timer counts with the clock %d", used_up <= used / kStep + 1);
  return 0;
}

// ---- eintr

int eintr(int argc, char** argv) {
  const int count = static_cast<int>(target::number_argument(argc, argv, 1, 200, 1e6));
  handle(SIGUSR1, SA_RESTART);
  handle(SIGCHLD, SA_RESTART);
  target::start();
  // Signals go to the main thread, which makes none of the calls: no EINTR is anybody's due.
  sigset_t mine;
  sigemptyset(&mine);
  sigaddset(&mine, SIGUSR1);
  sigaddset(&mine, SIGCHLD);
  ::pthread_sigmask(SIG_BLOCK, &mine, nullptr);
  static const int semaphores = ::semget(IPC_PRIVATE, 1, 0600);
  static const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  struct Kind {
    const char* name;
    long (*call)();
    std::atomic<int> interrupted = 0;
  };
  static const timespec short_time = {0, 500000};
  static Kind kinds[] = {
      {"poll", [] { return long{::poll(nullptr, 0, 1)}; }},
      {"epoll_wait",
       [] {
         epoll_event event;
         return long{::epoll_wait(epoll, &event, 1, 1)};
       }},
      {"nanosleep", [] { return long{::nanosleep(&short_time, nullptr)}; }},
      {"semtimedop",
       [] {
         sembuf down = {0, -1, 0};
         return long{::semtimedop(semaphores, &down, 1, &short_time)};
       }},
      {"sigtimedwait",
       [] {
         sigset_t never;
         sigemptyset(&never);
         sigaddset(&never, SIGRTMAX);
         return long{::sigtimedwait(&never, nullptr, &short_time)};
       }},
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([count] {
      for (int turn = 0; turn < count; ++turn) {
        for (Kind& kind : kinds) kind.interrupted += kind.call() < 0 && errno == EINTR;
      }
    });
  }
  std::atomic<bool> done = false;
  std::thread joiner([&] {
    for (std::thread& thread : threads) thread.join();
    done = true;
  });
  ::pthread_sigmask(SIG_UNBLOCK, &mine, nullptr);
  while (!done) {
    ::kill(::getpid(), SIGUSR1);
    target::wait_for(target::in_child([] { return 0; }));
  }
  joiner.join();
  ::semctl(semaphores, 0, IPC_RMID);
  for (const Kind& kind : kinds) target::say("%s EINTR %d", kind.name, kind.interrupted.load());
  target::wait_for_stdin_end();
  return 0;
}

// ---- ignored

bool is_in_call(pid_t pid, long number) {
  char path[64];
  std::snprintf(path, sizeof path, "/proc/%d/syscall", pid);
  char text[32] = {};
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  const ssize_t got = ::read(fd, text, sizeof text - 1);
  ::close(fd);
  return got > 0 && text[0] != 'r' && std::strtol(text, nullptr, 10) == number;
}

int ignored(int, char**) {
  target::start();
  ::signal(SIGUSR1, SIG_IGN);
  sigset_t wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGRTMIN);
  ::sigprocmask(SIG_BLOCK, &wanted, nullptr);
  const int semaphores = ::semget(IPC_PRIVATE, 1, 0600);
  if (semaphores < 0) target::fail("semget");
  const target::PipeEnds pipe = target::make_pipe();
  const int set = ::epoll_create1(EPOLL_CLOEXEC);
  epoll_event event = {.events = EPOLLIN, .data = {.u64 = 0}};
  ::epoll_ctl(set, EPOLL_CTL_ADD, pipe.read_end, &event);
  const pid_t self = ::getpid();
  const auto give = [pipe] { target::write_all(pipe.write_end, "x", 1); };
  const auto take = [pipe, set, &event](auto wait) {
    const long result = wait(set, &event);
    const int code = errno;
    char byte = 0;
    if (::read(pipe.read_end, &byte, 1) != 1) target::fail("read");
    errno = code;
    return result;
  };
  struct Wait {
    const char* name;
    long number;
    std::function<long()> call;
    std::function<void()> release;
  };
  const Wait waits[] = {
      {"epoll_wait", SYS_epoll_wait,
       [take] {
         return take([](int fd, epoll_event* out) { return ::epoll_wait(fd, out, 1, -1); });
       },
       give},
      {"epoll_pwait", SYS_epoll_pwait,
       [take] {
         return take([](int fd, epoll_event* out) {
           const sigset_t none = {};
           return ::epoll_pwait(fd, out, 1, -1, &none);
         });
       },
       give},
      {"semop", SYS_semop,
       [semaphores] {
         sembuf down = {0, -1, 0};
         return ::syscall(SYS_semop, semaphores, &down, 1UL);
       },
       [semaphores] {
         sembuf up = {0, 1, 0};
         ::semop(semaphores, &up, 1);
       }},
      {"sigwaitinfo", SYS_rt_sigtimedwait,
       [&wanted] { return long{::sigwaitinfo(&wanted, nullptr) == SIGRTMIN}; },
       [self] { ::kill(self, SIGRTMIN); }},
  };
  for (const Wait& wait : waits) {
    const pid_t other = target::in_child([&] {
      while (!is_in_call(self, wait.number)) ::sched_yield();
      for (int i = 0; i < 20; ++i) {
        for (const int number : {SIGUSR1, SIGCHLD, SIGURG, SIGWINCH, SIGCONT}) ::kill(self, number);
      }
      wait.release();
      return 0;
    });
    errno = 0;
    const long result = wait.call();
    target::say("%s: %ld errno %d", wait.name, result, result < 0 ? errno : 0);
    target::wait_for(other);
  }
  ::semctl(semaphores, 0, IPC_RMID);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return target::run_subject(
      {{"restarts", restarts}, {"clocks", clocks}, {"eintr", eintr}, {"ignored", ignored}}, argc,
      argv);
}
