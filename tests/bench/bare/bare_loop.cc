// usage: bare_loop COMMAND [ARGUMENT...]
//
// The least a tracer by PTRACE_SYSCALL can cost: it and its tracees on one CPU, each stop answered
// at once, nothing looked at but what PTRACE_GET_SYSCALL_INFO says. Follows every task.
// scripts/bench holds the tool's own cost against it. Prints "stops: N" on stderr; ends with 1 if
// the command did not end with 0.

#include <sched.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

namespace {

[[noreturn]] void become(char** command) {
  ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
  ::raise(SIGSTOP);
  ::execvp(command[0], command);
  ::_exit(127);
}

bool is_syscall_stop(int status) {
  return WIFSTOPPED(status) && WSTOPSIG(status) == (SIGTRAP | 0x80);
}

// What is to be delivered on. A new task's automatic SIGSTOP (ptrace(2)) is none of the command's.
int signal_of(int status) {
  const bool event = status >> 16 != 0;
  const int signo = WSTOPSIG(status);
  return event || signo == SIGTRAP || signo == SIGSTOP ? 0 : signo;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s COMMAND [ARGUMENT...]\n", argv[0]);
    return 2;
  }
  cpu_set_t here;
  CPU_ZERO(&here);
  CPU_SET(::sched_getcpu(), &here);
  ::sched_setaffinity(0, sizeof here, &here);
  const pid_t child = ::fork();
  if (child == 0) become(argv + 1);
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) return 1;
  ::ptrace(PTRACE_SETOPTIONS, child, nullptr,
           PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |
               PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL);
  ::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr);
  unsigned long stops = 1;
  int result = 0;
  for (pid_t task = 0; (task = ::waitpid(-1, &status, __WALL)) > 0;) {
    if (!WIFSTOPPED(status)) {
      if (task == child) result = status;
      continue;
    }
    ++stops;
    int signo = 0;
    if (is_syscall_stop(status)) {
      __ptrace_syscall_info info;
      ::ptrace(PTRACE_GET_SYSCALL_INFO, task, sizeof info, &info);
    } else {
      signo = signal_of(status);
    }
    ::ptrace(PTRACE_SYSCALL, task, nullptr, static_cast<unsigned long>(signo));
  }
  std::fprintf(stderr, "stops: %lu\n", stops);
  return WIFEXITED(result) && WEXITSTATUS(result) == 0 ? 0 : 1;
}
