// usage: group_stop [ROUNDS [SIGNAL]]
//
// After go a child with three threads stops itself ROUNDS times (default 1) with SIGNAL (a number;
// default SIGSTOP). Its parent, as a shell would, learns of each stop and continues the child.
// Prints "stopped N" and "continued" each time as the parent sees it, and "exited 0" in the end: a
// tracer that is transparent changes none of these lines.

#include <sys/wait.h>

#include <thread>

#include "target/target.h"

namespace {

void stop_repeatedly(int rounds, int signal) {
  // Sleeping threads show that the stop takes the whole group and that their waits survive it.
  const target::PipeEnds end = target::make_pipe();
  const auto wait_for_end = [end] {
    char byte = 0;
    while (::read(end.read_end, &byte, 1) < 0 && errno == EINTR) {
    }
  };
  std::thread first(wait_for_end);
  std::thread second(wait_for_end);
  for (int round = 0; round < rounds; ++round) ::kill(::getpid(), signal);
  ::close(end.write_end);
  first.join();
  second.join();
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = static_cast<int>(target::number_argument(argc, argv, 1, 1, 1e6));
  const int signal = static_cast<int>(target::number_argument(argc, argv, 2, SIGSTOP, 64));
  target::announce_ready();
  target::wait_for_go();

  const pid_t child = ::fork();
  if (child < 0) target::fail("fork");
  if (child == 0) {
    stop_repeatedly(rounds, signal);
    return 0;
  }
  for (;;) {
    int status = 0;
    if (::waitpid(child, &status, WUNTRACED | WCONTINUED) != child) target::fail("waitpid");
    if (WIFSTOPPED(status)) {
      target::say("stopped %d", WSTOPSIG(status));
      ::kill(child, SIGCONT);
    } else if (WIFCONTINUED(status)) {
      target::say("continued");
    } else {
      target::say("exited %d", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
      return status == 0 ? 0 : 1;
    }
  }
}
