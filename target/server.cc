// usage: server [THREADS]
//
// THREADS (default 200) threads accept connections on a port of the loopback interface, read a line
// from each and send it back. Prints "port N", then ready. At the end of stdin ends with
// "served N failed M", M being the calls that failed for any reason.

#include <netinet/in.h>
#include <sys/socket.h>

#include <atomic>
#include <thread>

#include "target/target.h"

namespace {

std::atomic<long> served = 0;
std::atomic<long> failed = 0;

void serve(int listener) {
  for (;;) {
    const int client = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) {
      ++failed;
      continue;
    }
    char line[256];
    std::size_t size = 0;
    while (size < sizeof line && (size == 0 || line[size - 1] != '\n')) {
      const ssize_t got = ::recv(client, line + size, sizeof line - size, 0);
      if (got <= 0) break;
      size += static_cast<std::size_t>(got);
    }
    const ssize_t sent = ::send(client, line, size, MSG_NOSIGNAL);
    if (size == 0 || sent != static_cast<ssize_t>(size)) ++failed;
    ++served;
    ::close(client);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const int threads = static_cast<int>(target::number_argument(argc, argv, 1, 200, 10000));
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(listener, 1024) != 0) {
    target::fail("listen");
  }
  socklen_t length = sizeof address;
  ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length);
  for (int i = 0; i < threads; ++i) std::thread(serve, listener).detach();
  target::say("port %d", ntohs(address.sin_port));
  target::announce_ready();
  target::wait_for_stdin_end();
  target::say("served %ld failed %ld", served.load(), failed.load());
  std::_Exit(0);
}
