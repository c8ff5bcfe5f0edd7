#pragma once

#include <sys/time.h>

#include <array>
#include <csignal>

namespace stucktrace::engine {

// What execve(2) would have passed on to the command, had the tool not stood in between: what the
// tool changes of it for itself, and what fork(2) does not pass on.
struct Inherited {
  // Signals that the tool treats in a way of its own: SIGPIPE, SIGCHLD, Ticker::kick_signal().
  struct Disposition {
    int signo = 0;
    bool ignored = false;  // as the command starts with it
  };
  std::array<Disposition, 3> signals{};
  bool subreaper = false;  // PR_SET_CHILD_SUBREAPER, prctl(2)

  // To be called once, before any other signal is set up. From then on a reader that goes away is
  // an error to tell and not a death (SIGPIPE), and whoever started the tool with SIGCHLD ignored
  // does not take the ends of its children away from it (wait(2)).
  static Inherited take();
};

// An alarm that is set for the command: it is stopped here, and to be set in the child.
itimerval take_alarm();

// In the child, before its execve(2): async-signal-safe.
void pass_on(const Inherited& inherited, const itimerval& alarm, const sigset_t& mask);

}  // namespace stucktrace::engine
