// usage: filters errno | trap | kill | trace | notify | strict | stacked
//
// A program with seccomp filters of its own; after go each subject installs one and says what the
// filtered calls give:
//   errno    SECCOMP_RET_ERRNO and SECCOMP_RET_LOG
//   trap     SECCOMP_RET_TRAP: SIGSYS with its siginfo, and a handler that gives a result
//   kill     SECCOMP_RET_KILL_THREAD and SECCOMP_RET_KILL_PROCESS
//   trace    SECCOMP_RET_TRACE: without a tracer of its own the call fails with ENOSYS
//   notify   SECCOMP_RET_USER_NOTIF, answered by another thread
//   strict   SECCOMP_SET_MODE_STRICT
//   stacked  several filters, inherited by children and through exec

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include <cstdint>
#include <thread>

#include "target/target.h"

namespace {

// Gives `action` for the call, lets all others through; the filter's descriptor with a listener.
long install(long call, std::uint32_t action, unsigned flags = 0) {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(call), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, action),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog loaded = {std::size(program), program};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) target::fail("prctl");
  const long installed = ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &loaded);
  if (installed < 0) target::fail("seccomp");
  return installed;
}

void say_call(const char* how, long number) {
  errno = 0;
  const long result = ::syscall(number, 0, 0, 0);
  target::say("%s: %s errno %d", how,
              result < 0    ? "fails"
              : result == 0 ? "gives 0"
                            : "gives more",
              result < 0 ? errno : 0);
}

int by_errno(int, char**) {
  target::start();
  install(SYS_getpgid, SECCOMP_RET_ERRNO | 71U);
  install(SYS_getsid, SECCOMP_RET_ERRNO | 0U);
  install(SYS_getppid, SECCOMP_RET_LOG);
  say_call("errno 71", SYS_getpgid);
  say_call("errno 0", SYS_getsid);
  say_call("logged", SYS_getppid);
  std::thread([] { say_call("errno 71 in a thread", SYS_getpgid); }).join();
  return 0;
}

siginfo_t trapped;

void give_result(int /*number*/, siginfo_t* info, void* context) {
  trapped = *info;
  static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RAX] = 1234;
}

int by_trap(int, char**) {
  target::start();
  struct sigaction action = {};
  action.sa_sigaction = give_result;
  action.sa_flags = SA_SIGINFO;
  ::sigaction(SIGSYS, &action, nullptr);
  install(SYS_getpgid, SECCOMP_RET_TRAP | 17U);
  for (int i = 0; i < 3; ++i) {
    const long result = ::syscall(SYS_getpgid, 0);
    target::say("result %ld: code %d errno %d call right %d arch %#x address %d", result,
                trapped.si_code, trapped.si_errno, trapped.si_syscall == SYS_getpgid,
                trapped.si_arch, trapped.si_call_addr != nullptr);
  }
  const pid_t child = target::in_child([] {
    ::signal(SIGSYS, SIG_DFL);
    ::syscall(SYS_getpgid, 0);
    return 0;
  });
  target::say_status("without a handler", target::wait_for(child));
  return 0;
}

int by_kill(int, char**) {
  target::start();
  for (const std::uint32_t action : {SECCOMP_RET_KILL_THREAD, SECCOMP_RET_KILL_PROCESS}) {
    const char* how = action == SECCOMP_RET_KILL_THREAD ? "thread" : "process";
    const pid_t child = target::in_child([action] {
      std::thread([action] {
        install(SYS_getpgid, action);
        ::syscall(SYS_getpgid, 0);
      }).join();
      return 5;
    });
    target::say_status(how, target::wait_for(child));
    const pid_t leader = target::in_child([action] {
      install(SYS_getpgid, action);
      ::syscall(SYS_getpgid, 0);
      return 5;
    });
    target::say_status(how, target::wait_for(leader));
  }
  return 0;
}

int by_trace(int, char**) {
  target::start();
  install(SYS_getpgid, SECCOMP_RET_TRACE | 3U);
  say_call("traced", SYS_getpgid);
  say_call("untraced", SYS_getppid);
  const pid_t child = target::in_child([] {
    say_call("traced in a child", SYS_getpgid);
    std::thread([] { say_call("traced in a thread", SYS_getpgid); }).join();
    return 0;
  });
  target::say_status("child", target::wait_for(child));
  return 0;
}

int by_notify(int, char**) {
  target::start();
  int wanted[2];
  if (::pipe(wanted) != 0) target::fail("pipe");
  std::thread supervised([&] {
    const int listener = static_cast<int>(
        install(SYS_getpgid, SECCOMP_RET_USER_NOTIF, SECCOMP_FILTER_FLAG_NEW_LISTENER));
    if (::write(wanted[1], &listener, sizeof listener) < 0) target::fail("write");
    for (int i = 0; i < 3; ++i) {
      errno = 0;
      const long result = ::syscall(SYS_getpgid, 0);
      target::say("notified: %ld errno %d", i == 2 ? long{result > 0} : result, errno);
    }
  });
  int listener = -1;
  if (::read(wanted[0], &listener, sizeof listener) < 0) target::fail("read");
  for (int i = 0; i < 3; ++i) {
    seccomp_notif request = {};
    if (::ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &request) != 0) target::fail("receive");
    seccomp_notif_resp answer = {};
    answer.id = request.id;
    if (i == 0) answer.val = 4321;
    if (i == 1) answer.error = -EBUSY;
    if (i == 2) answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    if (::ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer) != 0) target::fail("send");
  }
  supervised.join();
  return 0;
}

int strict(int, char**) {
  target::start();
  for (const bool obey : {true, false}) {
    const pid_t child = target::in_child([obey] {
      ::syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 0, nullptr);
      target::write_all(STDOUT_FILENO, "strict\n", 7);
      if (!obey) ::syscall(SYS_getppid);
      ::syscall(SYS_exit, 6);
      return 0;
    });
    target::say_status(obey ? "obeys" : "breaks out", target::wait_for(child));
  }
  return 0;
}

int stacked(int argc, char**) {
  if (argc > 1) {
    say_call("after exec, first", SYS_getpgid);
    say_call("after exec, second", SYS_getsid);
    return 0;
  }
  target::start();
  install(SYS_getpgid, SECCOMP_RET_ERRNO | 10U);
  install(SYS_getpgid, SECCOMP_RET_ERRNO | 20U);  // of equal actions the newest filter's counts
  install(SYS_getsid, SECCOMP_RET_ERRNO | 30U);
  install(SYS_getsid, SECCOMP_RET_KILL_PROCESS);  // the strongest action counts
  say_call("first", SYS_getpgid);
  const pid_t child = target::in_child([] {
    ::syscall(SYS_getsid, 0);
    return 0;
  });
  target::say_status("child", target::wait_for(child));
  const pid_t other = target::in_child([] {
    ::execl("/proc/self/exe", "filters", "stacked", "again", nullptr);
    return 1;
  });
  target::say_status("exec", target::wait_for(other));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return target::run_subject({{"errno", by_errno},
                              {"trap", by_trap},
                              {"kill", by_kill},
                              {"trace", by_trace},
                              {"notify", by_notify},
                              {"strict", strict},
                              {"stacked", stacked}},
                             argc, argv);
}
