// usage: signal_echo SIGNAL...
//
// SIGNAL is a number or a name without SIG (USR1). For each one that arrives prints
// "signal N code C pid P uid U value V" from its siginfo (pid, uid and value are 0 where the kind
// of signal has none). Ends at the end of stdin.

#include <poll.h>

#include "target/target.h"

namespace {

// Written once before the handlers are installed, read by them.
int handler_pipe = -1;

// A handler may not format; it passes the whole siginfo, atomically since it is below PIPE_BUF.
void pass_on(int /*signal*/, siginfo_t* info, void* /*context*/) {
  const int saved = errno;
  const ssize_t written = ::write(handler_pipe, info, sizeof *info);
  static_cast<void>(written);
  errno = saved;
}

int signal_number(const char* text) {
  for (int number = 1; number < NSIG; ++number) {
    const char* name = ::sigabbrev_np(number);
    if (name != nullptr && std::strcmp(text, name) == 0) return number;
  }
  char* end = nullptr;
  const long number = std::strtol(text, &end, 10);
  return *end == '\0' && number > 0 && number <= SIGRTMAX ? static_cast<int>(number) : -1;
}

void print(const siginfo_t& info) {
  // User-sent signals (code <= 0) carry a sender; of those only queued ones carry a value.
  const bool from_user = info.si_code <= 0;
  const bool has_sender = from_user || info.si_signo == SIGCHLD;
  target::say("signal %d code %d pid %d uid %u value %d", info.si_signo, info.si_code,
              has_sender ? info.si_pid : 0, has_sender ? info.si_uid : 0U,
              info.si_code == SI_QUEUE ? info.si_value.sival_int : 0);
}

}  // namespace

int main(int argc, char** argv) {
  const target::PipeEnds seen = target::make_pipe();
  handler_pipe = seen.write_end;
  for (int i = 1; i < argc; ++i) {
    struct sigaction action = {};
    action.sa_sigaction = pass_on;
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    const int number = signal_number(argv[i]);
    if (number < 0 || ::sigaction(number, &action, nullptr) != 0) {
      std::fprintf(stderr, "%s: cannot handle signal %s\n", argv[0], argv[i]);
      return 2;
    }
  }
  target::announce_ready();
  for (;;) {
    pollfd watched[] = {{.fd = seen.read_end, .events = POLLIN, .revents = 0},
                        {.fd = STDIN_FILENO, .events = POLLIN, .revents = 0}};
    if (::poll(watched, 2, -1) < 0) {
      if (errno == EINTR) continue;
      target::fail("poll");
    }
    if ((watched[0].revents & POLLIN) != 0) {
      siginfo_t info;
      if (::read(seen.read_end, &info, sizeof info) == ssize_t{sizeof info}) print(info);
      continue;  // what has arrived is printed before the end of stdin is looked at
    }
    char byte = 0;
    if (watched[1].revents != 0 && ::read(STDIN_FILENO, &byte, 1) <= 0) return 0;
  }
}
