// usage: zoo_pipes BEHAVIOUR
//
// Hangs through pipes: nobody comes to read what is written, or the end of the file cannot come.

#include <poll.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <thread>

#include "target/zoo/zoo.h"

namespace {

using target::make_pipe;
using target::PipeEnds;

// A child's helper thread sends; the child says goodbye and joins it; the parent waits first and
// would read later.
void queue_feeder() {
  const PipeEnds queue = make_pipe();
  target::announce_ready();
  const pid_t worker = zoo::child([&] {
    std::thread feeder([&] { zoo::write_too_much(queue.write_end); });
    target::say("All done! Goodbye!");
    feeder.join();
  });
  zoo::wait_for(worker);
  zoo::read_all(queue.read_end);
}

pid_t start_shell(const char* command, int in, int out, int err) {
  return zoo::child([&] {
    if (in >= 0) ::dup2(in, STDIN_FILENO);
    if (out >= 0) ::dup2(out, STDOUT_FILENO);
    if (err >= 0) ::dup2(err, STDERR_FILENO);
    ::execl("/bin/sh", "sh", "-c", command, nullptr);
    ::_exit(127);
  });
}

void stdout_unread() {
  const PipeEnds out = make_pipe();
  const pid_t worker = start_shell("exec head -c 999999 /dev/zero", -1, out.write_end, -1);
  ::close(out.write_end);
  target::announce_ready();
  zoo::wait_for(worker);
}

void stderr_unread() {
  const PipeEnds out = make_pipe();
  const PipeEnds err = make_pipe();
  const pid_t worker = zoo::child([&] {
    ::close(out.read_end);
    ::close(err.read_end);
    zoo::write_too_much(err.write_end);
  });
  ::close(out.write_end);
  ::close(err.write_end);
  target::announce_ready();
  zoo::read_all(out.read_end);
  zoo::read_all(err.read_end);
  zoo::wait_for(worker);
}

void both_write() {
  const PipeEnds there = make_pipe();
  const PipeEnds back = make_pipe();
  zoo::child([&] {
    zoo::write_too_much(back.write_end);
    zoo::read_all(there.read_end);
  });
  target::announce_ready();
  zoo::write_too_much(there.write_end);
  zoo::read_all(back.read_end);
}

// A filter that echoes: its user writes all before reading anything.
void through_a_filter() {
  const PipeEnds in = make_pipe();
  const PipeEnds out = make_pipe();
  start_shell("exec cat", in.read_end, out.write_end, -1);
  ::close(in.read_end);
  ::close(out.write_end);
  target::announce_ready();
  zoo::write_too_much(in.write_end);
  ::close(in.write_end);
  zoo::read_all(out.read_end);
}

void ring_of_three() {
  const PipeEnds ring[3] = {make_pipe(), make_pipe(), make_pipe()};
  const auto pass_on = [&](int at) {
    const int from = (at + 2) % 3;
    for (int other = 0; other < 3; ++other) {
      if (other != at) ::close(ring[other].write_end);
      if (other != from) ::close(ring[other].read_end);
    }
    zoo::write_too_much(ring[at].write_end);
    zoo::read_all(ring[from].read_end);
  };
  for (int at = 1; at < 3; ++at) zoo::child([&] { pass_on(at); });
  target::announce_ready();
  pass_on(0);
}

void by_vmsplice() {
  const PipeEnds out = make_pipe();
  const pid_t worker = zoo::child([&] {
    std::vector<char> data(1 << 20, 'x');
    const iovec piece = {.iov_base = data.data(), .iov_len = data.size()};
    while (::vmsplice(out.write_end, &piece, 1, 0) > 0) {
    }
  });
  target::announce_ready();
  zoo::wait_for(worker);
}

void by_splice() {
  const PipeEnds out = make_pipe();
  const pid_t worker = zoo::child([&] {
    const int source = ::open("/dev/zero", O_RDONLY | O_CLOEXEC);
    while (::splice(source, nullptr, out.write_end, nullptr, 1 << 16, 0) > 0) {
    }
  });
  target::announce_ready();
  zoo::wait_for(worker);
}

void self_held() {
  const PipeEnds ends = make_pipe();
  target::announce_ready();
  zoo::read_all(ends.read_end);
}

// The parent forgot to close its copy of the write end, the writer is long gone.
void own_copy_after_fork() {
  const PipeEnds ends = make_pipe();
  const pid_t writer = zoo::child([&] { zoo::write_byte(ends.write_end); });
  zoo::wait_for(writer);
  target::announce_ready();
  zoo::read_all(ends.read_end);
}

void own_pipe_full() {
  const PipeEnds ends = make_pipe();
  target::announce_ready();
  zoo::write_too_much(ends.write_end);
  zoo::read_all(ends.read_end);
}

// What daemon(3) does, save for the one descriptor it inherited.
void leaked_to_daemon() {
  const PipeEnds report = make_pipe();
  const pid_t helper = zoo::child([&] {
    const pid_t middle = zoo::child([&] {
      ::setsid();
      zoo::child([&] {
        const int nowhere = ::open("/dev/null", O_RDWR | O_CLOEXEC);
        for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(nowhere, fd);
        for (;;) ::pause();
      });
    });
    zoo::wait_for(middle);
    zoo::write_byte(report.write_end);
  });
  ::close(report.write_end);
  target::announce_ready();
  zoo::read_all(report.read_end);
  zoo::wait_for(helper);
}

// The request stays in a buffer of the client, so both sides wait for the other to speak.
void unflushed_request() {
  const PipeEnds request = make_pipe();
  const PipeEnds answer = make_pipe();
  zoo::child([&] {
    ::close(request.write_end);
    ::close(answer.read_end);
    zoo::read_byte(request.read_end);
    zoo::write_byte(answer.write_end);
  });
  ::close(request.read_end);
  ::close(answer.write_end);
  std::FILE* out = ::fdopen(request.write_end, "w");
  std::fputs("hello\n", out);
  target::announce_ready();
  zoo::read_byte(answer.read_end);
}

void stdin_left_open() {
  const PipeEnds in = make_pipe();
  const pid_t worker = start_shell("exec cat >/dev/null", in.read_end, -1, -1);
  ::close(in.read_end);
  zoo::write_byte(in.write_end);
  target::announce_ready();
  zoo::wait_for(worker);
}

// The second child inherited the write end of the first one's input.
void sibling_keeps_it() {
  int first_in[2];
  if (::pipe(first_in) != 0) target::fail("pipe");
  const pid_t first = start_shell("exec cat >/dev/null", first_in[0], -1, -1);
  ::close(first_in[0]);
  const PipeEnds second_in = make_pipe();
  start_shell("exec cat >/dev/null", second_in.read_end, -1, -1);
  ::close(second_in.read_end);
  ::close(first_in[1]);
  target::announce_ready();
  zoo::wait_for(first);
}

int open_pidfd(pid_t pid) {
  const auto fd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  if (fd < 0) target::fail("pidfd_open");
  return fd;
}

void poll_child(int timeout) {
  const PipeEnds out = make_pipe();
  const pid_t worker = zoo::child([&] { zoo::write_too_much(out.write_end); });
  pollfd exit = {.fd = open_pidfd(worker), .events = POLLIN, .revents = 0};
  target::announce_ready();
  if (::poll(&exit, 1, timeout) == 0) zoo::read_all(out.read_end);
}

void poll_pidfd() {
  poll_child(-1);
}

void poll_pidfd_a_minute() {
  poll_child(60'000);
}

// What old libraries do for a wait with a time-out.
void wnohang_loop() {
  const PipeEnds out = make_pipe();
  const pid_t worker = zoo::child([&] { zoo::write_too_much(out.write_end); });
  target::announce_ready();
  while (::waitpid(worker, nullptr, WNOHANG) == 0) zoo::nap(50);
}

void three_generations() {
  const PipeEnds ends = make_pipe();
  const pid_t middle = zoo::child([&] {
    ::close(ends.write_end);
    const pid_t last = zoo::child([&] { zoo::read_byte(ends.read_end); });
    zoo::wait_for(last);
  });
  target::announce_ready();
  zoo::wait_for(middle);
}

}  // namespace

int main(int argc, char** argv) {
  return zoo::run(argc, argv,
                  {{"queue-feeder", queue_feeder},
                   {"stdout-unread", stdout_unread},
                   {"stderr-unread", stderr_unread},
                   {"both-write", both_write},
                   {"through-a-filter", through_a_filter},
                   {"ring-of-three", ring_of_three},
                   {"by-vmsplice", by_vmsplice},
                   {"by-splice", by_splice},
                   {"self-held", self_held},
                   {"own-copy-after-fork", own_copy_after_fork},
                   {"own-pipe-full", own_pipe_full},
                   {"leaked-to-daemon", leaked_to_daemon},
                   {"unflushed-request", unflushed_request},
                   {"stdin-left-open", stdin_left_open},
                   {"sibling-keeps-it", sibling_keeps_it},
                   {"poll-pidfd", poll_pidfd},
                   {"poll-pidfd-a-minute", poll_pidfd_a_minute},
                   {"wnohang-loop", wnohang_loop},
                   {"three-generations", three_generations}});
}
