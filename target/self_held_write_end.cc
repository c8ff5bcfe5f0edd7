// usage: self_held_write_end [hang|healthy [SECONDS]]
//
// A child writes three lines to a pipe and ends. The parent reads until the end of the file, which
// never comes: it forgot to close its own copy of the write end. After SECONDS (0: never) a
// watchdog closes it. With `healthy` the parent closes it where it should.

#include <sys/wait.h>

#include <atomic>
#include <initializer_list>

#include "target/target.h"

namespace {

std::atomic<int> forgotten_write_end = -1;

void close_write_end(int /*signal*/) {
  ::close(forgotten_write_end);
  forgotten_write_end = -1;
}

}  // namespace

int main(int argc, char** argv) {
  const bool healthy = target::healthy_argument(argc, argv);
  const double seconds = target::number_argument(argc, argv, 2, 0, 1e6);

  const target::PipeEnds lines = target::make_pipe();
  const pid_t child = ::fork();
  if (child < 0) target::fail("fork");
  if (child == 0) {
    ::close(lines.read_end);
    for (const char* line : {"one\n", "two\n", "six\n"})
      target::write_all(lines.write_end, line, 4);
    return 0;
  }
  if (healthy) {
    ::close(lines.write_end);
  } else {
    forgotten_write_end = lines.write_end;
    target::arm_watchdog(seconds, close_write_end);
  }

  std::size_t total = 0;
  char buffer[256];
  for (ssize_t got = 0; (got = ::read(lines.read_end, buffer, sizeof buffer)) > 0;) {
    total += static_cast<std::size_t>(got);
  }
  int status = 0;
  if (::waitpid(child, &status, 0) != child) target::fail("waitpid");
  target::say("read %zu bytes and the end of the file", total);
  return total == 12 && status == 0 ? 0 : 1;
}
