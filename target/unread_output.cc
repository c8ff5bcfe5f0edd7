// usage: unread_output [BYTES [SECONDS]]
//
// A parent starts a child with a pipe as its stdout and waits for the child to end before it reads
// a byte. Above the pipe's capacity the child never ends. After SECONDS (0: never) a watchdog in
// the parent kills the child.

#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <string>

#include "target/target.h"

namespace {

std::atomic<pid_t> child_of_watchdog = 0;

void kill_child(int /*signal*/) {
  ::kill(child_of_watchdog, SIGKILL);
}

// What the child does: a chatty program that knows nothing of its parent.
void print_lines(std::size_t bytes) {
  const std::string line = std::string(79, '.') + "\n";
  while (bytes > 0) {
    const std::size_t part = std::min(bytes, line.size());
    target::write_all(STDOUT_FILENO, line.data() + (line.size() - part), part);
    bytes -= part;
  }
}

}  // namespace

int main(int argc, char** argv) {
  const auto bytes = static_cast<std::size_t>(target::number_argument(argc, argv, 1, 200000, 1e9));
  const double seconds = target::number_argument(argc, argv, 2, 0, 1e6);

  const target::PipeEnds output = target::make_pipe();
  const pid_t child = ::fork();
  if (child < 0) target::fail("fork");
  if (child == 0) {
    if (::dup2(output.write_end, STDOUT_FILENO) < 0) target::fail("dup2");
    ::close(output.read_end);
    ::close(output.write_end);
    print_lines(bytes);
    return 0;
  }
  ::close(output.write_end);
  child_of_watchdog = child;
  target::arm_watchdog(seconds, kill_child);

  int status = 0;
  if (::waitpid(child, &status, 0) != child) target::fail("waitpid");
  const bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
  target::say(killed ? "the watchdog had to kill the child" : "the child has ended");

  std::size_t total = 0;
  char buffer[4096];
  for (ssize_t got = 0; (got = ::read(output.read_end, buffer, sizeof buffer)) > 0;) {
    total += static_cast<std::size_t>(got);
  }
  target::say("read %zu of %zu bytes", total, bytes);
  return (status == 0 && total == bytes) || killed ? 0 : 1;
}
