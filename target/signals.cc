// usage: signals fates | queue | sources | waits | handlers | kills [ROUNDS]
//
// What signals do to a program, in every way a tracer could disturb. After go:
//   fates     a child for each signal 1..64 sends it to itself with all dispositions at default
//   queue     all signals are queued while blocked, then taken: by sigtimedwait, by handlers one
//             after another, by handlers nested in each other
//   sources   one signal of each origin (kill, tgkill, sigqueue, timers, children, faults, pipes,
//             descriptors) with the parts of siginfo that belong to it
//   waits     sigwaitinfo, signalfd, sigsuspend, ppoll's mask, sigwait in one of many threads
//   handlers  SA_RESTART, SA_NODEFER, SA_RESETHAND, sigaltstack, sa_mask, siglongjmp
//   kills     ROUNDS children (default 200) full of threads and children are killed at arbitrary
//             moments
// Each line says what happened; only signal numbers, codes and values that are the same in each run
// are printed.

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>

#include <atomic>
#include <csetjmp>
#include <thread>
#include <vector>

#include "target/target.h"

namespace {

int own_tid() {
  return static_cast<int>(::syscall(SYS_gettid));
}

// glibc keeps 32 and 33 for itself.
bool can_handle(int number) {
  return number != SIGKILL && number != SIGSTOP && number != 32 && number != 33;
}

sigset_t all_signals() {
  sigset_t all;
  sigfillset(&all);
  return all;
}

void install(int number, void (*handler)(int, siginfo_t*, void*), int flags, bool mask_all) {
  struct sigaction action = {};
  action.sa_sigaction = handler;
  action.sa_flags = SA_SIGINFO | flags;
  if (mask_all) sigfillset(&action.sa_mask);
  if (::sigaction(number, &action, nullptr) != 0) target::fail("sigaction");
}

// What the handlers saw, for printing afterwards: a handler may not format.
siginfo_t seen[1024];
std::atomic<int> seen_count = 0;

void note(int /*number*/, siginfo_t* info, void* /*context*/) {
  const int at = seen_count++;
  if (at < 1024) seen[at] = *info;
}

void say_info(const char* how, const siginfo_t& info) {
  target::say("%s %d code %d value %d from self %d uid same %d", how, info.si_signo, info.si_code,
              info.si_code == SI_QUEUE ? info.si_value.sival_int : -1, info.si_pid == ::getpid(),
              info.si_uid == ::getuid());
}

// ---- fates

int fates(int, char**) {
  target::start();
  const rlimit none = {0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  for (int number = 1; number <= 64; ++number) {
    const pid_t child = target::in_child([number] {
      ::setpgid(0, 0);  // not an orphaned group: SIGTSTP stops it whoever started this program
      if (can_handle(number)) ::signal(number, SIG_DFL);
      const sigset_t all = all_signals();
      ::sigprocmask(SIG_UNBLOCK, &all, nullptr);
      ::syscall(SYS_tgkill, ::getpid(), own_tid(), number);
      return 7;
    });
    char who[32];
    std::snprintf(who, sizeof who, "signal %d:", number);
    int status = target::wait_for(child, WUNTRACED);
    target::say_status(who, status);
    if (WIFSTOPPED(status)) {
      ::kill(child, SIGCONT);
      target::say_status("  continued:", target::wait_for(child));
    }
  }
  return 0;
}

// ---- queue

// Each signal that has a queue three times with values, the others twice (one is kept), highest
// first; to the process and to the thread by turns.
void queue_all() {
  for (int number = 64; number >= 1; --number) {
    if (!can_handle(number)) continue;
    for (int turn = 0; turn < (number >= SIGRTMIN ? 3 : 2); ++turn) {
      siginfo_t info = {};
      info.si_signo = number;
      info.si_code = SI_QUEUE;
      info.si_pid = ::getpid();
      info.si_uid = ::getuid();
      info.si_value.sival_int = number * 10 + turn;
      const long sent = turn == 1
                            ? ::syscall(SYS_rt_tgsigqueueinfo, ::getpid(), own_tid(), number, &info)
                            : ::syscall(SYS_rt_sigqueueinfo, ::getpid(), number, &info);
      if (sent != 0) target::fail("sigqueue");
    }
  }
}

void queue_and_handle(const char* how, bool mask_all) {
  for (int number = 1; number <= 64; ++number) {
    if (can_handle(number)) install(number, note, SA_RESTART, mask_all);
  }
  const sigset_t all = all_signals();
  sigset_t before;
  ::sigprocmask(SIG_BLOCK, &all, &before);
  seen_count = 0;
  queue_all();
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  for (int i = 0; i < seen_count; ++i) say_info(how, seen[i]);
}

int queue(int, char**) {
  target::start();
  const sigset_t all = all_signals();
  ::sigprocmask(SIG_BLOCK, &all, nullptr);
  queue_all();
  const timespec at_once = {};
  siginfo_t info;
  while (::sigtimedwait(&all, &info, &at_once) > 0) say_info("taken", info);
  ::sigprocmask(SIG_UNBLOCK, &all, nullptr);
  queue_and_handle("handled", true);
  queue_and_handle("nested", false);
  return 0;
}

// ---- sources

void say_seen(const char* how) {
  for (int i = 0; i < seen_count; ++i) {
    const siginfo_t& info = seen[i];
    target::say("%s: signal %d code %d", how, info.si_signo, info.si_code);
  }
  seen_count = 0;
}

sigjmp_buf after_fault;

void note_and_leave(int number, siginfo_t* info, void* context) {
  note(number, info, context);
  siglongjmp(after_fault, 1);
}

template <class Fault>
void provoke(const char* how, int number, const Fault& fault) {
  install(number, note_and_leave, 0, false);
  if (sigsetjmp(after_fault, 1) == 0) fault();
  if (seen_count > 0 && number != SIGTRAP) {
    target::say("%s: address null %d", how, seen[0].si_addr == nullptr);
  }
  say_seen(how);
}

void wait_until_seen(int count) {
  while (seen_count < count) ::sched_yield();
}

int sources(int, char**) {
  target::start();
  for (const int number :
       {SIGUSR1, SIGCHLD, SIGALRM, SIGVTALRM, SIGIO, SIGPIPE, SIGURG, SIGRTMIN}) {
    install(number, note, SA_RESTART, true);
  }
  ::kill(::getpid(), SIGUSR1);
  say_seen("kill");
  ::raise(SIGUSR1);
  say_seen("raise");
  ::sigqueue(::getpid(), SIGUSR1, {.sival_int = 5});
  target::say("sigqueue value %d", seen[0].si_value.sival_int);
  say_seen("sigqueue");

  timer_t timer = nullptr;
  sigevent by_signal = {};
  by_signal.sigev_notify = SIGEV_SIGNAL;
  by_signal.sigev_signo = SIGRTMIN;
  by_signal.sigev_value.sival_int = 77;
  if (::timer_create(CLOCK_MONOTONIC, &by_signal, &timer) != 0) target::fail("timer_create");
  const itimerspec soon = {.it_interval = {}, .it_value = {0, 1000000}};
  ::timer_settime(timer, 0, &soon, nullptr);
  wait_until_seen(1);
  target::say("timer value %d", seen[0].si_value.sival_int);
  say_seen("timer");
  const itimerval soon_too = {.it_interval = {}, .it_value = {0, 1000}};
  ::setitimer(ITIMER_REAL, &soon_too, nullptr);
  wait_until_seen(1);
  say_seen("itimer");
  ::setitimer(ITIMER_VIRTUAL, &soon_too, nullptr);
  while (seen_count < 1) {
  }
  say_seen("virtual itimer");

  const pid_t child = target::in_child([] { return 3; });
  wait_until_seen(1);
  target::say("child pid right %d status %d", seen[0].si_pid == child, seen[0].si_status);
  say_seen("child");
  target::wait_for(child);

  const target::PipeEnds pipe = target::make_pipe();
  ::close(pipe.read_end);
  const ssize_t written = ::write(pipe.write_end, "x", 1);
  target::say("write %zd errno %d", written, errno);
  say_seen("pipe");
  const target::PipeEnds watched = target::make_pipe();
  ::fcntl(watched.read_end, F_SETOWN, ::getpid());
  ::fcntl(watched.read_end, F_SETSIG, SIGIO);
  ::fcntl(watched.read_end, F_SETFL, O_ASYNC);
  target::write_all(watched.write_end, "x", 1);
  wait_until_seen(1);
  target::say("descriptor right %d band %ld", seen[0].si_fd == watched.read_end, seen[0].si_band);
  say_seen("async");

  provoke("null", SIGSEGV, [] { *const_cast<volatile int*>(static_cast<int*>(nullptr)) = 1; });
  provoke("illegal", SIGILL, [] { asm volatile("ud2"); });
  provoke("division", SIGFPE, [] {
    asm volatile("xor %%edx, %%edx; mov $1, %%eax; xor %%ecx, %%ecx; div %%ecx" ::
                     : "eax", "ecx", "edx");
  });
  provoke("breakpoint", SIGTRAP, [] { asm volatile("int3"); });
  provoke("beyond a file", SIGBUS, [] {
    const int file = ::memfd_create("empty", MFD_CLOEXEC);
    void* page = ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, file, 0);
    [[maybe_unused]] const char byte = *static_cast<volatile char*>(page);
  });
  provoke("single step", SIGTRAP, [] {
    asm volatile("pushf; orq $0x100, (%%rsp); popf; nop" ::: "memory", "cc");
  });
  return 0;
}

// ---- waits

int waits(int, char**) {
  target::start();
  const sigset_t all = all_signals();
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
  constexpr int kRounds = 50;

  // A child sends; the parent waits in several ways. Real-time signals keep their order.
  const pid_t sender = target::in_child([] {
    for (int i = 0; i < kRounds; ++i) ::sigqueue(::getppid(), SIGRTMIN + 1, {.sival_int = i});
    return 0;
  });
  sigset_t wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGRTMIN + 1);
  int in_order = 0;
  for (int i = 0; i < kRounds; ++i) {
    siginfo_t info;
    in_order += ::sigwaitinfo(&wanted, &info) == SIGRTMIN + 1 && info.si_value.sival_int == i &&
                info.si_pid == sender;
  }
  target::wait_for(sender);
  target::say("sigwaitinfo %d in order", in_order);

  sigset_t through_fd;
  sigemptyset(&through_fd);
  sigaddset(&through_fd, SIGUSR1);
  sigaddset(&through_fd, SIGCHLD);
  const int fd = ::signalfd(-1, &through_fd, SFD_CLOEXEC);
  const timespec at_once = {};
  while (::sigtimedwait(&through_fd, nullptr, &at_once) > 0) {
  }
  const pid_t other = target::in_child([] {
    ::kill(::getppid(), SIGUSR1);
    return 4;
  });
  for (int i = 0; i < 2; ++i) {
    signalfd_siginfo info = {};
    if (::read(fd, &info, sizeof info) != ssize_t{sizeof info}) target::fail("read");
    target::say("signalfd %u code %d status %d pid right %d", info.ssi_signo, info.ssi_code,
                info.ssi_status, static_cast<pid_t>(info.ssi_pid) == other);
  }
  target::wait_for(other);

  install(SIGUSR2, note, 0, true);
  sigset_t but_usr2 = all;
  sigdelset(&but_usr2, SIGUSR2);
  ::kill(::getpid(), SIGUSR2);
  const int suspended = ::sigsuspend(&but_usr2);
  target::say("sigsuspend %d errno %d seen %d", suspended, errno, seen_count.exchange(0));
  ::kill(::getpid(), SIGUSR2);
  const int polled = ::ppoll(nullptr, 0, nullptr, &but_usr2);
  target::say("ppoll %d errno %d seen %d", polled, errno, seen_count.exchange(0));

  std::atomic<int> taken = 0;
  std::vector<std::thread> takers;
  for (int i = 0; i < 8; ++i) {
    takers.emplace_back([&] {
      int number = 0;
      ::sigwait(&wanted, &number);
      taken += number == SIGRTMIN + 1;
    });
  }
  for (int i = 0; i < 8; ++i) ::sigqueue(::getpid(), SIGRTMIN + 1, {.sival_int = i});
  for (std::thread& taker : takers) taker.join();
  target::say("sigwait in threads %d", taken.load());
  return 0;
}

// ---- handlers

int depth = 0;
int deepest = 0;
int raises_left = 0;

void nest(int number, siginfo_t* /*info*/, void* /*context*/) {
  if (++depth > deepest) deepest = depth;
  if (raises_left-- > 0) ::raise(number);
  --depth;
}

void say_depth(const char* how, int flags) {
  install(SIGUSR1, nest, flags, false);
  deepest = 0;
  raises_left = 4;
  ::raise(SIGUSR1);
  target::say("%s depth %d", how, deepest);
}

char alternate[64 * 1024];
std::atomic<bool> on_alternate = false;

void note_stack(int /*number*/, siginfo_t* /*info*/, void* /*context*/) {
  const char here = 0;
  on_alternate = &here >= alternate && &here < alternate + sizeof alternate;
}

// A read that a child's signal interrupts, and that gets its byte only after the signal was seen.
void interrupted_read(const char* how, int flags) {
  install(SIGUSR1, note, flags, false);
  seen_count = 0;
  const target::PipeEnds data = target::make_pipe();
  const pid_t parent = ::getpid();
  auto* handled = static_cast<std::atomic<int>*>(
      ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  const pid_t child = target::in_child([&] {
    // The parent must be asleep in its read first.
    char path[64];
    std::snprintf(path, sizeof path, "/proc/%d/syscall", parent);
    for (;;) {
      char text[64] = {};
      const int fd = ::open(path, O_RDONLY);
      if (::read(fd, text, sizeof text - 1) > 0 && std::strncmp(text, "0 ", 2) == 0) break;
      ::close(fd);
      ::sched_yield();
    }
    ::kill(parent, SIGUSR1);
    while (handled->load() == 0) {
      if ((flags & SA_RESTART) != 0) break;
      ::sched_yield();
    }
    target::write_all(data.write_end, "x", 1);
    return 0;
  });
  char byte = 0;
  errno = 0;
  const ssize_t got = ::read(data.read_end, &byte, 1);
  const int code = got < 0 ? errno : 0;
  *handled = 1;
  target::wait_for(child);
  target::say("%s read %zd errno %d signals %d", how, got, code, seen_count.load());
}

int handlers(int, char**) {
  target::start();
  say_depth("not deferred:", SA_NODEFER);
  say_depth("deferred:", 0);
  install(SIGUSR2, note, static_cast<int>(SA_RESETHAND), false);
  ::raise(SIGUSR2);
  struct sigaction now = {};
  ::sigaction(SIGUSR2, nullptr, &now);
  target::say("reset %d", now.sa_handler == SIG_DFL);
  const stack_t stack = {.ss_sp = alternate, .ss_flags = 0, .ss_size = sizeof alternate};
  ::sigaltstack(&stack, nullptr);
  install(SIGUSR2, note_stack, SA_ONSTACK, false);
  ::raise(SIGUSR2);
  target::say("on its own stack %d", on_alternate.load());
  interrupted_read("without restart:", 0);
  interrupted_read("with restart:", SA_RESTART);
  return 0;
}

// ---- kills

void be_busy() {
  for (int i = 0; i < 4; ++i) {
    std::thread([] {
      for (;;) {
        const pid_t child = ::vfork();  // NOLINT(bugprone-unsafe-functions): the subject
        if (child == 0) ::_exit(0);
        if (child > 0) ::waitpid(child, nullptr, 0);
      }
    }).detach();
  }
  for (;;) std::thread([] { ::getppid(); }).join();
}

int kills(int argc, char** argv) {
  const int rounds = static_cast<int>(target::number_argument(argc, argv, 1, 200, 1e5));
  target::start();
  int killed = 0;
  unsigned random = 12345;
  for (int round = 0; round < rounds; ++round) {
    const pid_t child = target::in_child([] {
      be_busy();
      return 0;
    });
    random = random * 1103515245U + 12345U;
    const timespec moment = {0, static_cast<long>(random >> 12U) % 3000000};
    ::nanosleep(&moment, nullptr);
    ::kill(child, SIGKILL);
    const int status = target::wait_for(child);
    killed += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
  }
  target::say("killed %d", killed);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return target::run_subject({{"fates", fates},
                              {"queue", queue},
                              {"sources", sources},
                              {"waits", waits},
                              {"handlers", handlers},
                              {"kills", kills}},
                             argc, argv);
}
