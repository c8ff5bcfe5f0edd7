// usage: blocked_io [CALL]
//
// A thread for every kind of call that can block on a descriptor, all of them blocked
// when it prints ready (CALL: only this one). After go each is released in turn by what it waits
// for. One line each: "NAME waited", or "NAME ended early: RESULT errno E" if it returned before it
// was released, or "NAME failed: RESULT errno E" if it did not return what it should.

#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>

#include "target/blocked_calls.h"

namespace {

struct Pair {
  int ours = -1;
  int theirs = -1;
};

Pair sockets(int type) {
  int ends[2];
  if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends) != 0) target::fail("socketpair");
  return {.ours = ends[0], .theirs = ends[1]};
}

void fill(int fd) {
  static const char zeros[4096] = {};
  const int flags = ::fcntl(fd, F_GETFL);
  ::fcntl(fd, F_SETFL, flags | O_NONBLOCK);
  while (::write(fd, zeros, sizeof zeros) > 0) {
  }
  ::fcntl(fd, F_SETFL, flags);
}

void drain(int fd) {
  static char bytes[4096];
  ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
  while (::read(fd, bytes, sizeof bytes) > 0) {
  }
}

void give(int fd) {
  target::write_all(fd, "x", 1);
}

void limit(int fd, int which) {
  const timeval hour = {3600, 0};
  if (::setsockopt(fd, SOL_SOCKET, which, &hour, sizeof hour) != 0) target::fail("setsockopt");
}

const timespec kHour = {3600, 0};

void add_pipes_and_sockets(target::BlockedCalls& calls) {
  static char bytes[64];
  const auto reader = [&calls](const char* name, long number, auto wait) {
    const target::PipeEnds pipe = target::make_pipe();
    calls.add(
        name, number, [pipe, wait] { return wait(pipe.read_end); },
        [pipe] { give(pipe.write_end); }, 1);
  };
  const auto writer = [&calls](const char* name, long number, auto wait) {
    const target::PipeEnds pipe = target::make_pipe();
    fill(pipe.write_end);
    calls.add(
        name, number, [pipe, wait] { return wait(pipe.write_end); },
        [pipe] { drain(pipe.read_end); });
  };
  static iovec one = {bytes, 1};
  reader("read a pipe", SYS_read, [](int fd) { return ::read(fd, bytes, 1); });
  reader("readv", SYS_readv, [](int fd) { return ::readv(fd, &one, 1); });
  reader("splice", SYS_splice, [](int fd) {
    return ::splice(fd, nullptr, target::make_pipe().write_end, nullptr, 1, 0);
  });
  reader("tee", SYS_tee, [](int fd) { return ::tee(fd, target::make_pipe().write_end, 1, 0); });
  writer("write a pipe", SYS_write, [](int fd) { return ::write(fd, bytes, 1); });
  writer("vmsplice", SYS_vmsplice, [](int fd) { return ::vmsplice(fd, &one, 1, 0); });
  writer("sendfile", SYS_sendfile, [](int fd) {
    const int file = ::memfd_create("one byte", MFD_CLOEXEC);
    give(file);
    ::lseek(file, 0, SEEK_SET);
    return ::sendfile(fd, file, nullptr, 1);
  });

  const auto receiver = [&calls](const char* name, long number, bool limited, auto wait) {
    const Pair pair = sockets(SOCK_STREAM);
    if (limited) limit(pair.ours, SO_RCVTIMEO);
    calls.add(
        name, number, [pair, wait] { return wait(pair.ours); }, [pair] { give(pair.theirs); }, 1);
  };
  static msghdr message = {};
  message.msg_iov = &one;
  message.msg_iovlen = 1;
  static mmsghdr messages[1] = {};
  messages[0].msg_hdr = message;
  receiver("recv", SYS_recvfrom, false, [](int fd) { return ::recv(fd, bytes, 1, 0); });
  receiver("recvmsg", SYS_recvmsg, false, [](int fd) { return ::recvmsg(fd, &message, 0); });
  receiver("recvmmsg", SYS_recvmmsg, false,
           [](int fd) { return ::recvmmsg(fd, messages, 1, 0, nullptr); });
  receiver("recv with SO_RCVTIMEO", SYS_recvfrom, true,
           [](int fd) { return ::recv(fd, bytes, 1, 0); });
  for (const bool limited : {false, true}) {
    const Pair pair = sockets(SOCK_STREAM);
    fill(pair.ours);
    if (limited) limit(pair.ours, SO_SNDTIMEO);
    calls.add(
        limited ? "send with SO_SNDTIMEO" : "send", SYS_sendto,
        [pair] { return ::send(pair.ours, bytes, 1, MSG_NOSIGNAL); },
        [pair] { drain(pair.theirs); });
  }
  for (const bool limited : {false, true}) {
    const int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int client = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int late = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    // Without a path the kernel gives it an abstract name.
    static sockaddr_un names[2];
    sockaddr_un& name = names[limited ? 1 : 0];
    name.sun_family = AF_UNIX;
    socklen_t length = sizeof(sa_family_t);
    if (::bind(listener, reinterpret_cast<sockaddr*>(&name), length) != 0) target::fail("bind");
    length = sizeof name;
    ::getsockname(listener, reinterpret_cast<sockaddr*>(&name), &length);
    if (::listen(listener, 0) != 0) target::fail("listen");
    if (limited) limit(listener, SO_RCVTIMEO);
    static socklen_t lengths[2];
    lengths[limited ? 1 : 0] = length;
    const auto connect = [&name, limited](int fd) {
      return ::connect(fd, reinterpret_cast<sockaddr*>(&name), lengths[limited ? 1 : 0]);
    };
    if (limited) {
      calls.add(
          "accept with SO_RCVTIMEO", SYS_accept,
          [listener] { return ::accept(listener, nullptr, nullptr); },
          [connect, client] { connect(client); });
      continue;
    }
    connect(client);  // the backlog of none is full with one
    calls.add(
        "connect", SYS_connect, [connect, late] { return connect(late); },
        [listener] { ::accept(listener, nullptr, nullptr); }, 0);
  }
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  static sockaddr_storage address;
  static socklen_t length = sizeof address;
  if (::listen(listener, 1) != 0) target::fail("listen");
  ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length);
  calls.add(
      "accept", SYS_accept, [listener] { return ::accept(listener, nullptr, nullptr); },
      [] {
        const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        static_cast<void>(::connect(client, reinterpret_cast<sockaddr*>(&address), length));
      });
}

void add_special_files(target::BlockedCalls& calls) {
  static std::uint64_t numbers[2];
  const int event = ::eventfd(0, EFD_CLOEXEC);
  calls.add(
      "read an eventfd", SYS_read, [event] { return ::read(event, numbers, 8); },
      [event] { ::eventfd_write(event, 1); }, 8);
  const int timer = ::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
  static itimerspec when = {.it_interval = {}, .it_value = kHour};
  ::timerfd_settime(timer, 0, &when, nullptr);
  calls.add(
      "read a timerfd", SYS_read, [timer] { return ::read(timer, numbers, 8); },
      [timer] {
        when.it_value = {0, 1};
        ::timerfd_settime(timer, 0, &when, nullptr);
      },
      8);
  const int watch = ::inotify_init1(IN_CLOEXEC);
  static char path[] = "/tmp/blocked_calls_XXXXXX";
  if (::mkdtemp(path) == nullptr || ::inotify_add_watch(watch, path, IN_DELETE) < 0) {
    target::fail("inotify");
  }
  static const std::string fifo = std::string(path) + "/fifo";
  if (::mkfifo(fifo.c_str(), 0600) != 0) target::fail("mkfifo");
  calls.add(
      "open a fifo", SYS_openat, [] { return ::open(fifo.c_str(), O_RDONLY | O_CLOEXEC); },
      [] { ::open(fifo.c_str(), O_RDWR | O_CLOEXEC); });
  static const auto clean_up = [] {
    ::unlink(fifo.c_str());
    ::rmdir(path);
  };
  ::atexit(clean_up);
  static char event_bytes[4096];
  calls.add(
      "read an inotify", SYS_read,
      [watch] { return ::read(watch, event_bytes, sizeof event_bytes); }, clean_up);
  const int terminal = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  ::grantpt(terminal);
  ::unlockpt(terminal);
  const int slave = ::open(::ptsname(terminal), O_RDWR | O_NOCTTY | O_CLOEXEC);
  calls.add(
      "read a terminal", SYS_read, [slave] { return ::read(slave, event_bytes, 16); },
      [terminal] { target::write_all(terminal, "x\n", 2); }, 2);
}

}  // namespace

int main(int argc, char** argv) {
  target::BlockedCalls calls(argc > 1 ? argv[1] : nullptr);
  add_pipes_and_sockets(calls);
  add_special_files(calls);
  calls.run();
}
