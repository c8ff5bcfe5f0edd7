// usage: vfork_exec [ROUNDS]
//
// After go (a byte or the end of stdin): ROUNDS times (default 1) vfork, exec of /bin/true in the
// child, wait. Prints "child PID status N" for each.

#include <sys/wait.h>

#include "target/target.h"

namespace {

// In a function of its own: after vfork the child runs on the parent's stack and may not return.
pid_t spawn_true() {
  char* const arguments[] = {const_cast<char*>("true"), nullptr};
  char* const environment[] = {nullptr};
  const pid_t child = ::vfork();  // NOLINT(bugprone-unsafe-functions): the subject
  if (child == 0) {
    ::execve("/bin/true", arguments, environment);
    ::_exit(127);
  }
  return child;
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = static_cast<int>(target::number_argument(argc, argv, 1, 1, 1e6));
  target::announce_ready();
  target::wait_for_go();
  bool all_well = true;
  for (int round = 0; round < rounds; ++round) {
    const pid_t child = spawn_true();
    if (child < 0) target::fail("vfork");
    int status = 0;
    if (::waitpid(child, &status, 0) != child) target::fail("waitpid");
    target::say("child %d status %d", child, WIFEXITED(status) ? WEXITSTATUS(status) : -1);
    all_well = all_well && status == 0;
  }
  return all_well ? 0 : 1;
}
