// usage: tasks exec_any [ROUNDS] | spawns [COUNT] | clones | untraced_exec | leader_exits |
// leaderless |
//              early_deaths [ROUNDS] | live [THREADS] | daemons
//
// Tasks made and ended in every unusual way. After go:
//   exec_any       ROUNDS times (default 5) a process execs from its leader, from another thread
//   and
//                  from two at once, with further threads asleep, in vfork, spinning and exiting
//   spawns         COUNT (default 200) vforks and as many posix_spawns, from four threads
//   clones         clone(2) with odd flags and exit signals
//   untraced_exec  a thread made with CLONE_UNTRACED execs
//   leader_exits   the leader ends first; another thread goes on, forks and execs
//   leaderless     the leader has ended before ready; then the last thread execs
//   early_deaths   ROUNDS (default 300) children that end, are killed or exec the moment they
//   exist,
//                  and groups that exit while they make threads
//   live           THREADS (default 1000) threads alive at a time, each of which answers
//   daemons        double forks, a subreaper, and a daemon that outlives everybody

#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <atomic>
#include <system_error>
#include <thread>
#include <vector>

#include "target/target.h"

namespace {

int own_tid() {
  return static_cast<int>(::syscall(SYS_gettid));
}

template <class T>
T* shared_memory() {
  void* memory =
      ::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) target::fail("mmap");
  return new (memory) T;
}

// 'Z' also for a process that is gone.
char state_of(pid_t pid) {
  char path[64];
  std::snprintf(path, sizeof path, "/proc/%d/stat", pid);
  std::FILE* file = std::fopen(path, "re");
  if (file == nullptr) return 'Z';
  char state = 'Z';
  if (std::fscanf(file, "%*d (%*[^)]) %c", &state) != 1) state = 'Z';
  std::fclose(file);
  return state;
}

// ---- exec_any

// Not /proc/self/exe: that leads nowhere once the leader has ended.
char own_path[4096];

void exec_after(const char* who) {
  ::execl(own_path, "tasks", "after", who, nullptr);
  target::fail("exec");
}

int after(int, char** argv) {
  target::say("after exec by %s: leader %d threads %s", argv[1], own_tid() == ::getpid(),
              ::access("/proc/self/task", R_OK) == 0 ? "listed" : "hidden");
  return 11;
}

void surround_with_threads() {
  static std::atomic<int> begun;
  static std::atomic<bool> vforked;
  begun = 0;
  vforked = false;
  constexpr int kKinds = 6;
  for (int kind = 0; kind < kKinds; ++kind) {
    std::thread([kind] {
      ++begun;
      switch (kind) {
        case 0:
          for (;;) ::pause();
        case 1: {
          std::atomic<int> never = 0;
          for (;;) never.wait(0);
        }
        case 2:
          for (;;) ::poll(nullptr, 0, 1000000);
        case 3: {
          // Its child goes on for ever: the maker is inside vfork when it is ended.
          const pid_t child = ::vfork();  // NOLINT(bugprone-unsafe-functions): the subject
          if (child == 0) {
            // Not before its maker is ended: then nobody would end it. The memory is the maker's.
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            vforked = true;
            for (;;) ::pause();
          }
          return;
        }
        case 4:
          for (;;) {
            try {
              std::thread([] {}).join();
            } catch (const std::system_error&) {
              // EAGAIN: clone(2) with CLONE_FS fails while another thread execs.
            }
          }
        default:
          for (;;) {
          }
      }
    }).detach();
  }
  while (begun < kKinds || !vforked) ::sched_yield();
}

int exec_any(int argc, char** argv) {
  const int rounds = static_cast<int>(target::number_argument(argc, argv, 1, 5, 1e6));
  target::start();
  for (int round = 0; round < rounds; ++round) {
    for (int way = 0; way < 3; ++way) {
      const pid_t child = target::in_child([way] {
        surround_with_threads();
        if (way == 0) exec_after("the leader");
        std::thread first([] { exec_after("another"); });
        if (way == 2) exec_after("another");  // one of the two wins
        first.join();
        return 1;
      });
      target::say_status("child", target::wait_for(child));
    }
  }
  return 0;
}

// ---- spawns

// In a function of its own: the child runs on the caller's stack.
[[gnu::noinline]] pid_t vfork_and(const char* program, int code) {
  const pid_t child = ::vfork();  // NOLINT(bugprone-unsafe-functions): the subject
  if (child == 0) {
    if (program != nullptr) ::execl(program, program, nullptr);
    ::_exit(code);
  }
  return child;
}

int spawns(int argc, char** argv) {
  const int count = static_cast<int>(target::number_argument(argc, argv, 1, 200, 1e6));
  target::start();
  std::atomic<int> vforked = 0;
  std::atomic<int> spawned = 0;
  constexpr int kThreads = 4;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int turn = 0; turn < count / kThreads; ++turn) {
        int status = target::wait_for(vfork_and(nullptr, 6));
        vforked += WIFEXITED(status) && WEXITSTATUS(status) == 6;
        pid_t other = -1;
        char name[] = "false";
        char* words[] = {name, nullptr};
        if (::posix_spawn(&other, "/bin/false", nullptr, nullptr, words, nullptr) != 0) continue;
        status = target::wait_for(other);
        spawned += WIFEXITED(status) && WEXITSTATUS(status) == 1;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  target::say("vforked %d spawned %d", vforked.load(), spawned.load());
  return 0;
}

// ---- clones

std::atomic<int> signals_of_end = 0;
int code_of_end = 0;

void note_end(int, siginfo_t* info, void*) {
  ++signals_of_end;
  code_of_end = info->si_code;
}

int value_in_memory = 0;

int clone_body(void*) {
  value_in_memory = 42;
  return 9;
}

void clone_one(const char* how, int flags) {
  constexpr std::size_t kStack = 64UL * 1024;
  static char stack[kStack];
  value_in_memory = 0;
  signals_of_end = 0;
  int tid_word = -1;
  int pidfd = -1;
  int* word = (flags & CLONE_PIDFD) != 0 ? &pidfd : &tid_word;
  const pid_t child = ::clone(clone_body, stack + kStack, flags, nullptr, word, nullptr, &tid_word);
  if (child < 0) return target::say("%s: errno %d", how, errno);
  int status = 0;
  const pid_t plain = ::waitpid(child, &status, 0);
  const int plain_errno = plain < 0 ? errno : 0;
  if (plain < 0) ::waitpid(child, &status, __WALL);
  target::say("%s: status %#x plain wait %d signals %d code %d memory %d pidfd %d", how,
              static_cast<unsigned>(status), plain_errno, signals_of_end.load(), code_of_end,
              value_in_memory, pidfd >= 0);
  if (pidfd >= 0) ::close(pidfd);
}

// The flags lie in memory that the program itself may only read: nobody changes them.
void clone3_untraced() {
  constexpr std::size_t kPage = 4096;
  void* page = ::mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  auto* arguments = new (page) clone_args{};
  arguments->flags = CLONE_UNTRACED;
  arguments->exit_signal = SIGCHLD;
  ::mprotect(page, kPage, PROT_READ);
  const auto kept = [page] {
    return static_cast<volatile clone_args*>(page)->flags == CLONE_UNTRACED;
  };
  const long child = ::syscall(SYS_clone3, arguments, sizeof *arguments);
  if (child == 0) {
    target::say("clone3, untraced: flags kept %d", kept());
    ::_exit(target::wait_for(target::in_child([] { return 24; })) == 24 << 8 ? 25 : 26);
  }
  target::say_status("clone3, untraced", target::wait_for(static_cast<pid_t>(child)));
  target::say("its maker: flags kept %d", kept());

  ::mprotect(page, kPage, PROT_READ | PROT_WRITE);
  arguments->exit_signal = 1000;
  const long impossible = ::syscall(SYS_clone3, arguments, sizeof *arguments);
  target::say("clone3, impossible: %ld errno %d flags kept %d", impossible, errno, kept());

#if defined(__x86_64__)
  // In the memory of its maker, on its stack even: the task does nothing but end.
  arguments->flags = CLONE_UNTRACED | CLONE_VM | CLONE_VFORK;
  arguments->exit_signal = SIGCHLD;
  long made = SYS_clone3;
  asm volatile("syscall; test %%rax, %%rax; jnz 1f; mov %3, %%eax; mov $27, %%edi; syscall; ud2; 1:"
               : "+a"(made)
               : "D"(arguments), "S"(sizeof *arguments), "i"(SYS_exit_group)
               : "rcx", "r11", "memory");
  target::say_status("clone3, untraced, memory", target::wait_for(static_cast<pid_t>(made)));
  target::say("flags kept %d", arguments->flags == (CLONE_UNTRACED | CLONE_VM | CLONE_VFORK));
#endif
  ::munmap(page, kPage);
}

int clones(int, char**) {
  target::start();
  struct sigaction action = {};
  action.sa_sigaction = note_end;
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  ::sigaction(SIGUSR1, &action, nullptr);
  ::sigaction(SIGRTMAX, &action, nullptr);
  clone_one("no exit signal", 0);
  clone_one("exit signal USR1", SIGUSR1);
  clone_one("exit signal RTMAX", SIGRTMAX);
  clone_one("untraced", CLONE_UNTRACED | SIGCHLD);
  clone_one("untraced, no exit signal", CLONE_UNTRACED);
  clone_one("ptrace", CLONE_PTRACE | SIGCHLD);
  clone_one("memory", CLONE_VM | SIGCHLD);
  clone_one("memory, no exit signal", CLONE_VM);
  clone_one("memory, handlers", CLONE_VM | CLONE_SIGHAND);
  clone_one("memory, vfork", CLONE_VM | CLONE_VFORK | SIGCHLD);
  clone_one("vfork, own memory", CLONE_VFORK | SIGCHLD);
  clone_one("vfork, untraced", CLONE_VFORK | CLONE_UNTRACED | SIGCHLD);
  clone_one("files", CLONE_FILES | CLONE_FS | CLONE_SYSVSEM | static_cast<int>(CLONE_IO) | SIGCHLD);
  clone_one("tids", CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD);
  clone_one("pidfd", CLONE_PIDFD | SIGCHLD);
  clone_one("impossible", CLONE_SIGHAND | SIGCHLD);

  clone_args arguments = {};
  arguments.flags = CLONE_CLEAR_SIGHAND;
  arguments.exit_signal = SIGCHLD;
  const long third = ::syscall(SYS_clone3, &arguments, sizeof arguments);
  if (third == 0) {
    struct sigaction now = {};
    ::sigaction(SIGUSR1, nullptr, &now);
    ::_exit(now.sa_handler == SIG_DFL ? 21 : 22);
  }
  target::say_status("clone3", target::wait_for(static_cast<pid_t>(third)));
  clone3_untraced();

  // CLONE_PARENT: the child's child is ours.
  auto* sibling = shared_memory<std::atomic<pid_t>>();
  const pid_t child = target::in_child([sibling] {
    const long made = ::syscall(SYS_clone, CLONE_PARENT | SIGCHLD, nullptr, nullptr, nullptr, 0L);
    if (made == 0) ::_exit(31);
    *sibling = static_cast<pid_t>(made);
    return 32;
  });
  target::say_status("its maker", target::wait_for(child));
  target::say_status("made with CLONE_PARENT", target::wait_for(*sibling));
  return 0;
}

int untraced_exec(int, char**) {
  target::start();
  const pid_t child = target::in_child([] {
    constexpr std::size_t kStack = 64UL * 1024;
    static char stack[kStack];
    const auto body = [](void*) -> int {
      exec_after("an untraced thread");
      return 0;
    };
    ::clone(body, stack + kStack,
            CLONE_UNTRACED | CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
                CLONE_SYSVSEM,
            nullptr);
    for (;;) ::pause();
    return 0;
  });
  target::say_status("child", target::wait_for(child));
  return 0;
}

// ---- leader_exits

int leader_exits(int, char**) {
  target::start();
  const pid_t child = target::in_child([] {
    std::thread([] {
      while (state_of(::getpid()) != 'Z') ::sched_yield();  // of the leader
      target::say_status("child of a leaderless thread",
                         target::wait_for(target::in_child([] { return 12; })));
      exec_after("the last thread");
    }).detach();
    ::syscall(SYS_exit, 1);
    return 0;
  });
  target::say_status("child", target::wait_for(child));
  const pid_t other = target::in_child([] {
    std::thread([] { ::_exit(13); }).detach();
    ::syscall(SYS_exit, 1);
    return 0;
  });
  target::say_status("child", target::wait_for(other));
  return 0;
}

int leaderless(int, char**) {
  std::thread([] {
    while (state_of(::getpid()) != 'Z') ::sched_yield();
    target::start();
    exec_after("the last thread");
  }).detach();
  ::syscall(SYS_exit, 1);
  return 0;
}

// ---- early_deaths

int early_deaths(int argc, char** argv) {
  const int rounds = static_cast<int>(target::number_argument(argc, argv, 1, 300, 1e6));
  target::start();
  int as_meant[5] = {};
  for (int round = 0; round < rounds; ++round) {
    const int way = round % 5;
    pid_t child = -1;
    if (way == 0) child = target::in_child([] { return 3; });
    if (way == 1) {
      child = target::in_child([] {
        for (;;) {
        }
        return 0;
      });
      ::kill(child, SIGKILL);
    }
    if (way == 2) {
      child = target::in_child([] {
        std::thread([] { ::_exit(3); }).detach();
        for (;;) std::thread([] {}).detach();
        return 0;
      });
    }
    if (way == 3) {
      child = target::in_child([] {
        const pid_t grandchild = ::fork();
        if (grandchild == 0) ::_exit(0);
        ::kill(grandchild, SIGKILL);
        return 3;  // the grandchild is somebody else's before its first moment
      });
    }
    if (way == 4) {
      child = vfork_and("/bin/false", 3);
      ::kill(child, SIGKILL);
    }
    const int status = target::wait_for(child);
    const bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    // The last may be quicker than its killer.
    as_meant[way] += way == 1 ? killed : way == 4 ? killed || code == 1 : code == 3;
  }
  target::say("as meant %d %d %d %d %d", as_meant[0], as_meant[1], as_meant[2], as_meant[3],
              as_meant[4]);
  return 0;
}

// ---- live

int live(int argc, char** argv) {
  const int count = static_cast<int>(target::number_argument(argc, argv, 1, 1000, 30000));
  const target::PipeEnds questions = target::make_pipe();
  const target::PipeEnds answers = target::make_pipe();
  std::vector<std::thread> threads;
  threads.reserve(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) {
    threads.emplace_back([&] {
      char byte = 0;
      while (::read(questions.read_end, &byte, 1) == 1)
        target::write_all(answers.write_end, "a", 1);
    });
  }
  target::start();
  int answered = 0;
  for (int i = 0; i < 3 * count; ++i) {
    char byte = 0;
    target::write_all(questions.write_end, "q", 1);
    answered += ::read(answers.read_end, &byte, 1) == 1;
  }
  ::close(questions.write_end);
  for (std::thread& thread : threads) thread.join();
  target::say("threads %d answers %d", count, answered);
  return 0;
}

// ---- daemons

int daemons(int, char**) {
  target::start();
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  auto* orphan = shared_memory<std::atomic<pid_t>>();
  const pid_t between = target::in_child([orphan] {
    const pid_t daemon = ::fork();
    if (daemon == 0) {
      for (;;) ::pause();
    }
    *orphan = daemon;
    return 4;
  });
  target::say_status("between", target::wait_for(between));
  siginfo_t info = {};
  const int ours = ::waitid(P_PID, static_cast<id_t>(orphan->load()), &info, WEXITED | WNOHANG);
  target::say("orphan is ours %d and lives %d", ours == 0, info.si_pid == 0);
  ::kill(*orphan, SIGTERM);
  target::say_status("orphan", target::wait_for(*orphan));

  ::prctl(PR_SET_CHILD_SUBREAPER, 0);
  const pid_t self = ::getpid();
  const pid_t first = target::in_child([self] {
    ::setsid();
    const pid_t parent = ::getpid();
    if (::fork() != 0) return 0;
    while (::getppid() == parent || state_of(self) != 'Z') ::poll(nullptr, 0, 1);
    target::say("the daemon outlives all");
    return 0;
  });
  target::say_status("first", target::wait_for(first));
  target::say("the program ends");
  return 14;
}

}  // namespace

int main(int argc, char** argv) {
  if (::readlink("/proc/self/exe", own_path, sizeof own_path - 1) < 0) target::fail("readlink");
  return target::run_subject({{"after", after},
                              {"exec_any", exec_any},
                              {"spawns", spawns},
                              {"clones", clones},
                              {"untraced_exec", untraced_exec},
                              {"leader_exits", leader_exits},
                              {"leaderless", leaderless},
                              {"early_deaths", early_deaths},
                              {"live", live},
                              {"daemons", daemons}},
                             argc, argv);
}
