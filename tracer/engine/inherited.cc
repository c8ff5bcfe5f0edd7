#include "tracer/engine/inherited.h"

#include <sys/prctl.h>

#include "tracer/engine/ticker.h"

namespace stucktrace::engine {
namespace {

bool is_ignored(int signo) {
  struct sigaction present{};
  sigaction(signo, nullptr, &present);
  return (present.sa_flags & SA_SIGINFO) == 0 && present.sa_handler == SIG_IGN;
}

}  // namespace

Inherited Inherited::take() {
  Inherited result;
  result.signals = {Disposition{SIGPIPE, is_ignored(SIGPIPE)},
                    Disposition{SIGCHLD, is_ignored(SIGCHLD)},
                    Disposition{Ticker::kick_signal(), is_ignored(Ticker::kick_signal())}};
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGCHLD, SIG_DFL);
  int subreaper = 0;
  result.subreaper = ::prctl(PR_GET_CHILD_SUBREAPER, &subreaper, 0, 0, 0) == 0 && subreaper != 0;
  return result;
}

itimerval take_alarm() {
  constexpr itimerval kNone{};
  itimerval alarm{};
  ::setitimer(ITIMER_REAL, &kNone, &alarm);
  return alarm;
}

void pass_on(const Inherited& inherited, const itimerval& alarm, const sigset_t& mask) {
  for (const Inherited::Disposition& one : inherited.signals) {
    if (one.signo != 0) ::signal(one.signo, one.ignored ? SIG_IGN : SIG_DFL);
  }
  // The tool's SIGCONT, which ends the stop before this, stays pending where the command blocks it.
  // To set an action that does nothing takes it away (do_sigaction() in kernel/signal.c).
  struct sigaction on_continue{};
  ::sigaction(SIGCONT, nullptr, &on_continue);
  ::sigaction(SIGCONT, &on_continue, nullptr);
  if (inherited.subreaper) ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  ::setitimer(ITIMER_REAL, &alarm, nullptr);
  ::sigprocmask(SIG_SETMASK, &mask, nullptr);
}

}  // namespace stucktrace::engine
