// usage: zoo_processes BEHAVIOUR
//
// Hangs through stopped processes, terminals and vfork.

#include <sys/ioctl.h>

#include "target/zoo/zoo.h"

namespace {

void stopped_child() {
  const pid_t worker = zoo::child([] { ::raise(SIGSTOP); });
  target::announce_ready();
  zoo::wait_for(worker);
}

void stopped_writer() {
  const target::PipeEnds ends = target::make_pipe();
  zoo::child([&] {
    ::raise(SIGSTOP);
    zoo::write_byte(ends.write_end);
  });
  ::close(ends.write_end);
  target::announce_ready();
  zoo::read_all(ends.read_end);
}

void stopped_reader() {
  const target::PipeEnds ends = target::make_pipe();
  zoo::child([&] {
    ::close(ends.write_end);
    ::raise(SIGSTOP);
    zoo::read_all(ends.read_end);
  });
  ::close(ends.read_end);
  target::announce_ready();
  zoo::write_too_much(ends.write_end);
}

// The parent gets its memory back only when the child execs or ends, and the child waits for it.
void vfork_without_exec() {
  static const target::PipeEnds ends = target::make_pipe();
  target::announce_ready();
  const pid_t worker = ::vfork();  // NOLINT(bugprone-unsafe-functions): it is what hangs
  if (worker == 0) {
    char byte = 0;
    const ssize_t got = ::read(ends.read_end, &byte, 1);
    ::_exit(got == 1 ? 0 : 1);
  }
  zoo::write_byte(ends.write_end);
}

// A shell's background job that wants the keyboard, and somebody who waits for that job. The
// terminal is one of our own; nobody types on it.
void background_read() {
  const int master = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (master < 0 || ::grantpt(master) != 0 || ::unlockpt(master) != 0) target::fail("openpt");
  const std::string name = ::ptsname(master);
  const pid_t shell = zoo::child([&] {
    ::close(master);
    ::setsid();
    const int terminal = ::open(name.c_str(), O_RDWR | O_CLOEXEC);
    if (terminal < 0 || ::ioctl(terminal, TIOCSCTTY, 0) != 0) target::fail("TIOCSCTTY");
    const pid_t job = zoo::child([&] {
      ::setpgid(0, 0);
      zoo::read_byte(terminal);
    });
    ::setpgid(job, job);
    ::close(terminal);
    zoo::wait_for(job);
  });
  target::announce_ready();
  zoo::wait_for(shell);
}

}  // namespace

int main(int argc, char** argv) {
  return zoo::run(argc, argv,
                  {{"stopped-child", stopped_child},
                   {"stopped-writer", stopped_writer},
                   {"stopped-reader", stopped_reader},
                   {"vfork-without-exec", vfork_without_exec},
                   {"background-read", background_read}});
}
