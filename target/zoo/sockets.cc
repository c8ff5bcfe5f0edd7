// usage: zoo_sockets BEHAVIOUR
//
// Hangs through unix and loopback TCP sockets.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "target/zoo/zoo.h"

namespace {

struct Pair {
  int first = -1;
  int second = -1;
};

Pair unix_pair(int type) {
  int ends[2] = {-1, -1};
  if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends) != 0) target::fail("socketpair");
  return {.first = ends[0], .second = ends[1]};
}

struct Listener {
  int fd = -1;
  sockaddr_in address = {};
};

Listener listen_on_loopback() {
  Listener listener;
  listener.fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  listener.address.sin_family = AF_INET;
  listener.address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof listener.address;
  auto* address = reinterpret_cast<sockaddr*>(&listener.address);
  if (::bind(listener.fd, address, size) != 0 || ::listen(listener.fd, 8) != 0 ||
      ::getsockname(listener.fd, address, &size) != 0) {
    target::fail("listen");
  }
  return listener;
}

int connect_to(const Listener& listener) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&listener.address),
                sizeof listener.address) != 0) {
    target::fail("connect");
  }
  return fd;
}

Pair tcp_pair() {
  const Listener listener = listen_on_loopback();
  const int client = connect_to(listener);
  const int server = ::accept4(listener.fd, nullptr, nullptr, SOCK_CLOEXEC);
  if (server < 0) target::fail("accept");
  ::close(listener.fd);
  return {.first = client, .second = server};
}

// Both sides go through `side` at once, each with its own end alone.
void both(Pair pair, void (*side)(int)) {
  const pid_t other = zoo::child([&] {
    ::close(pair.first);
    side(pair.second);
  });
  ::close(pair.second);
  target::announce_ready();
  side(pair.first);
  zoo::wait_for(other);
}

void unix_both_send() {
  both(unix_pair(SOCK_STREAM), zoo::write_too_much);
}

void unix_both_receive() {
  both(unix_pair(SOCK_STREAM), zoo::read_byte);
}

void tcp_both_send() {
  both(tcp_pair(), zoo::write_too_much);
}

void tcp_both_receive() {
  both(tcp_pair(), zoo::read_byte);
}

void unix_own_full() {
  const Pair pair = unix_pair(SOCK_STREAM);
  target::announce_ready();
  zoo::write_too_much(pair.first);
}

void datagrams_and_wait() {
  const Pair pair = unix_pair(SOCK_DGRAM);
  const pid_t sender = zoo::child([&] {
    ::close(pair.second);
    const char datagram[512] = {};
    while (::send(pair.first, datagram, sizeof datagram, 0) > 0) {
    }
  });
  ::close(pair.first);
  target::announce_ready();
  zoo::wait_for(sender);
}

// A server with one thread asks itself: the request lies in its own backlog.
void tcp_self_request() {
  const Listener listener = listen_on_loopback();
  const int client = connect_to(listener);
  zoo::write_byte(client);
  target::announce_ready();
  zoo::read_byte(client);
  ::accept(listener.fd, nullptr, nullptr);
}

struct UnixListener {
  int fd = -1;
  sockaddr_un address = {};
  socklen_t size = sizeof(sockaddr_un);
};

UnixListener listen_on_unix(int backlog) {
  UnixListener listener;
  listener.fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  listener.address.sun_family = AF_UNIX;
  auto* address = reinterpret_cast<sockaddr*>(&listener.address);
  // Only the family: the kernel picks a free abstract name (unix(7), autobind).
  if (::bind(listener.fd, address, sizeof listener.address.sun_family) != 0 ||
      ::listen(listener.fd, backlog) != 0 ||
      ::getsockname(listener.fd, address, &listener.size) != 0) {
    target::fail("listen");
  }
  return listener;
}

int connect_to(const UnixListener& listener) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&listener.address), listener.size) != 0) {
    target::fail("connect");
  }
  return fd;
}

void unix_self_request() {
  const UnixListener listener = listen_on_unix(8);
  const int client = connect_to(listener);
  zoo::write_byte(client);
  target::announce_ready();
  zoo::read_byte(client);
  ::accept(listener.fd, nullptr, nullptr);
}

// The server waits for its client, which cannot even connect: the backlog is full.
void backlog_full() {
  const UnixListener listener = listen_on_unix(0);
  const pid_t client = zoo::child([&] {
    ::close(listener.fd);
    for (;;) connect_to(listener);
  });
  target::announce_ready();
  zoo::wait_for(client);
}

}  // namespace

int main(int argc, char** argv) {
  return zoo::run(argc, argv,
                  {{"unix-both-send", unix_both_send},
                   {"unix-both-receive", unix_both_receive},
                   {"tcp-both-send", tcp_both_send},
                   {"tcp-both-receive", tcp_both_receive},
                   {"unix-own-full", unix_own_full},
                   {"datagrams-and-wait", datagrams_and_wait},
                   {"tcp-self-request", tcp_self_request},
                   {"unix-self-request", unix_self_request},
                   {"backlog-full", backlog_full}});
}
