// usage: leaked_write_end [hang|healthy [SECONDS]]
//
// A helper with a pipe to its parent starts a daemon, reports through the pipe and ends. The parent
// reads until the end of the file, which does not come: the daemon, which never writes, inherited
// the write end. The daemon ends after SECONDS; with 0 it stays, at most ten minutes so that a
// forgotten run cleans up after itself. With `healthy` the daemon closes what it does not use.

#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <initializer_list>

#include "target/target.h"

namespace {

void end_daemon(int /*signal*/) {
  ::_exit(0);
}

// A well-behaved daemon in all but one respect: its own session, standard descriptors on /dev/null,
// and then it serves a socket nobody connects to.
[[noreturn]] void serve_forever(double seconds) {
  const int nowhere = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (nowhere < 0) target::fail("open");
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::dup2(nowhere, fd) < 0) target::fail("dup2");
  }
  target::arm_watchdog(seconds > 0 ? seconds : 600, end_daemon);
  const int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  // Only the family: the kernel picks a free abstract name (unix(7), autobind).
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (listener < 0 ||
      ::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address.sun_family) != 0 ||
      ::listen(listener, 1) != 0) {
    ::_exit(1);
  }
  for (;;) {
    const int client = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (client >= 0) ::close(client);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const bool healthy = target::healthy_argument(argc, argv);
  const double seconds = target::number_argument(argc, argv, 2, 0, 1e6);

  const target::PipeEnds report = target::make_pipe();
  const pid_t helper = ::fork();
  if (helper < 0) target::fail("fork");
  if (helper == 0) {
    ::close(report.read_end);
    // The second fork lets the daemon lose its parent, as daemon(3) users do.
    const pid_t middle = ::fork();
    if (middle < 0) target::fail("fork");
    if (middle == 0) {
      ::setsid();
      if (::fork() != 0) ::_exit(0);
      if (healthy) ::close(report.write_end);
      serve_forever(seconds);
    }
    ::waitpid(middle, nullptr, 0);
    target::write_all(report.write_end, "started\n", 8);
    return 0;
  }
  ::close(report.write_end);

  std::size_t total = 0;
  char buffer[256];
  for (ssize_t got = 0; (got = ::read(report.read_end, buffer, sizeof buffer)) > 0;) {
    total += static_cast<std::size_t>(got);
  }
  int status = 0;
  if (::waitpid(helper, &status, 0) != helper) target::fail("waitpid");
  target::say("read %zu bytes and the end of the file", total);
  return total == 8 && status == 0 ? 0 : 1;
}
