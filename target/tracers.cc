// usage: tracers traceme | attach | seize | self | parent | exec | untraced | unfit
//
// Programs that use ptrace themselves; after go:
//   traceme  a child asks to be traced; its parent follows it from call to call
//   attach   a parent attaches to its child, changes its memory and lets it go
//   seize    the same with PTRACE_SEIZE, an interruption and a group-stop
//   self     a child asks to be traced and goes on: a program that will not be debugged
//   parent   a child traces its parent for a while
//   exec     a child asks to be traced and execs: its parent sees SIGTRAP
//   untraced a task made with CLONE_UNTRACED, which shares all memory, attaches to the threads of
//            its maker, looks at one and lets them go, as a leak checker does
//   unfit    a child that has forbidden itself seccomp(2) and is stopped is attached to by its
//            parent
// All of it is denied or changed while somebody else traces the same tasks.

#include <elf.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "target/target.h"

namespace {

void say_stop(const char* who, int status) {
  if (WIFSTOPPED(status)) {
    target::say("%s stopped by %#x event %d", who, static_cast<unsigned>(WSTOPSIG(status)),
                status >> 16);
  } else {
    target::say_status(who, status);
  }
}

void say_result(const char* what, long result) {
  target::say("%s: %s errno %d", what, result < 0 ? "fails" : "works", result < 0 ? errno : 0);
}

int traceme(int, char**) {
  target::start();
  const pid_t child = target::in_child([] {
    say_result("traceme", ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr));
    ::raise(SIGSTOP);
    for (int i = 0; i < 3; ++i) ::syscall(SYS_getpgid, 0);
    ::raise(SIGUSR1);  // its parent does not deliver it
    return 8;
  });
  say_stop("child", target::wait_for(child));
  ::ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_TRACESYSGOOD);
  int filtered_calls = 0;
  int signals = 0;
  for (int status = 0;;) {
    if (::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr) != 0) break;
    status = target::wait_for(child);
    if (!WIFSTOPPED(status)) {
      target::say("calls %d signals %d", filtered_calls, signals);
      target::say_status("child", status);
      return 0;
    }
    if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
      user_regs_struct registers = {};
      ::ptrace(PTRACE_GETREGS, child, nullptr, &registers);
      filtered_calls += registers.orig_rax == SYS_getpgid;
    } else {
      signals += WSTOPSIG(status) == SIGUSR1;
    }
  }
  target::fail("ptrace");
}

volatile long secret = 1;

// A child that waits for its `secret` to change and ends with it. In a group of its own: in an
// orphaned one, as that of a program whose shell has gone, SIGTSTP stops nobody (credentials(7)).
pid_t keeper() {
  const pid_t child = target::in_child([] {
    while (secret == 1) ::sched_yield();
    return static_cast<int>(secret);
  });
  if (::setpgid(child, child) != 0) target::fail("setpgid");
  return child;
}

int attach(int, char**) {
  target::start();
  const pid_t child = keeper();
  say_result("attach", ::ptrace(PTRACE_ATTACH, child, nullptr, nullptr));
  say_stop("child", target::wait_for(child, __WALL));
  errno = 0;
  const long found = ::ptrace(PTRACE_PEEKDATA, child, &secret, nullptr);
  target::say("secret %ld", found);
  say_result("poke", ::ptrace(PTRACE_POKEDATA, child, &secret, 33L));
  say_result("detach", ::ptrace(PTRACE_DETACH, child, nullptr, nullptr));
  target::say_status("child", target::wait_for(child));
  return 0;
}

int seize(int, char**) {
  target::start();
  const pid_t child = keeper();
  say_result("seize", ::ptrace(PTRACE_SEIZE, child, nullptr, PTRACE_O_TRACESYSGOOD));
  say_result("interrupt", ::ptrace(PTRACE_INTERRUPT, child, nullptr, nullptr));
  say_stop("child", target::wait_for(child));
  ::kill(child, SIGTSTP);
  ::ptrace(PTRACE_CONT, child, nullptr, nullptr);
  say_stop("child", target::wait_for(child));
  ::ptrace(PTRACE_CONT, child, nullptr, SIGTSTP);
  say_stop("child", target::wait_for(child));
  say_result("listen", ::ptrace(PTRACE_LISTEN, child, nullptr, nullptr));
  ::kill(child, SIGCONT);
  say_stop("child", target::wait_for(child));
  ::ptrace(PTRACE_CONT, child, nullptr, nullptr);
  say_stop("child", target::wait_for(child));
  say_result("poke", ::ptrace(PTRACE_POKEDATA, child, &secret, 34L));
  say_result("detach", ::ptrace(PTRACE_DETACH, child, nullptr, nullptr));
  target::say_status("child", target::wait_for(child));
  return 0;
}

int self(int, char**) {
  target::start();
  const pid_t child = target::in_child([] {
    say_result("traceme", ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr));
    say_result("once more", ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr));
    return 9;
  });
  target::say_status("child", target::wait_for(child));
  return 0;
}

int parent(int, char**) {
  target::start();
  const pid_t child = target::in_child([] {
    const pid_t other = ::getppid();
    say_result("attach", ::ptrace(PTRACE_ATTACH, other, nullptr, nullptr));
    say_stop("parent", target::wait_for(other, __WALL));
    say_result("detach", ::ptrace(PTRACE_DETACH, other, nullptr, nullptr));
    return 10;
  });
  target::say_status("child", target::wait_for(child));
  return 0;
}

int exec(int, char**) {
  target::start();
  const pid_t child = target::in_child([] {
    say_result("traceme", ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr));
    ::execl("/bin/sh", "sh", "-c", "exit 7", nullptr);
    return 1;
  });
  say_stop("child", target::wait_for(child));
  say_result("go on", ::ptrace(PTRACE_CONT, child, nullptr, nullptr));
  say_stop("child", target::wait_for(child));
  return 0;
}

// Shared with the task that traces.
struct Looker {
  pid_t maker = 0;
  pid_t thread = 0;
  long attached = 0;
  long registers_read = 0;
  int stop_signal = 0;
};

int look_at_maker(void* argument) {
  auto& looker = *static_cast<Looker*>(argument);
  for (const pid_t tid : {looker.maker, looker.thread}) {
    if (::ptrace(PTRACE_ATTACH, tid, nullptr, nullptr) != 0) continue;
    ++looker.attached;
    int status = 0;
    while (::waitpid(tid, &status, __WALL) < 0 && errno == EINTR) {
    }
    looker.stop_signal = WSTOPSIG(status);
    user_regs_struct registers = {};
    iovec io{&registers, sizeof registers};
    looker.registers_read += ::ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &io) == 0;
    ::ptrace(PTRACE_DETACH, tid, nullptr, nullptr);
  }
  return 0;
}

int untraced(int, char**) {
  target::start();
  Looker looker;
  looker.maker = ::getpid();
  std::atomic<pid_t> tid{0};
  std::atomic<bool> enough{false};
  std::thread other([&] {
    tid.store(::gettid());
    while (!enough.load()) ::sched_yield();
  });
  while (tid.load() == 0) ::sched_yield();
  looker.thread = tid.load();
  std::vector<char> stack(std::size_t{256} * 1024);
  const int task = ::clone(look_at_maker, stack.data() + stack.size(),
                           CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_UNTRACED, &looker);
  if (task < 0) target::fail("clone");
  int status = 0;
  while (::waitpid(task, &status, __WALL) < 0 && errno == EINTR) {
  }
  target::say_status("looker", status);
  target::say("attached %ld registers %ld stop %d", looker.attached, looker.registers_read,
              looker.stop_signal);
  enough.store(true);
  other.join();
  target::say("written after all that, with a filter or without");
  return 0;
}

void forbid_filters() {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_seccomp, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog loaded = {std::size(program), program};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) target::fail("prctl");
  if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &loaded) != 0) target::fail("seccomp");
}

int unfit(int, char**) {
  target::start();
  void* memory =
      ::mmap(nullptr, sizeof(long), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) target::fail("mmap");
  auto* ran = new (memory) std::atomic<long>{0};
  const pid_t child = target::in_child([ran] {
    forbid_filters();
    ::raise(SIGSTOP);
    ran->store(1);
    return 12;
  });
  say_stop("child", target::wait_for(child, WUNTRACED));
  const long seized = ::ptrace(PTRACE_SEIZE, child, nullptr, nullptr);
  say_result("seize", seized);
  if (seized == 0) {
    say_stop("child", target::wait_for(child));
    say_result("detach", ::ptrace(PTRACE_DETACH, child, nullptr, nullptr));
  }
  ::poll(nullptr, 0, 20);  // the time in which a process left running would show itself
  target::say("ran while it was stopped %ld", ran->load());
  ::kill(child, SIGCONT);
  target::say_status("child", target::wait_for(child));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return target::run_subject({{"traceme", traceme},
                              {"attach", attach},
                              {"seize", seize},
                              {"self", self},
                              {"parent", parent},
                              {"exec", exec},
                              {"untraced", untraced},
                              {"unfit", unfit}},
                             argc, argv);
}
