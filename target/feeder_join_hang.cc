// usage: feeder_join_hang [BYTES [JOIN_SECONDS]]
//
// queue_join_hang.py without an interpreter. S hands BYTES bytes to a feeder thread that writes
// them to a pipe, says goodbye and returns from main; a static destructor joins the feeder. P waits
// JOIN_SECONDS for S to end (its only write end of the sentinel pipe closes then) and reads the
// bytes afterwards. Above the pipe's capacity P waits for S, S for its feeder, the feeder for P.

#include <poll.h>
#include <sys/wait.h>

#include <cstdint>
#include <thread>
#include <utility>
#include <vector>

#include "target/target.h"

namespace {

// Joins in its destructor, that is in exit() after main has returned.
class Feeder {
 public:
  void put(int write_end, std::vector<char> payload) {
    thread_ = std::thread([write_end, payload = std::move(payload)] {
      const std::uint64_t size = payload.size();
      std::vector<char> message(sizeof size + payload.size());
      std::memcpy(message.data(), &size, sizeof size);
      if (!payload.empty())
        std::memcpy(message.data() + sizeof size, payload.data(), payload.size());
      target::write_all(write_end, message.data(), message.size());
    });
  }
  Feeder() = default;
  Feeder(const Feeder&) = delete;
  Feeder& operator=(const Feeder&) = delete;
  ~Feeder() {
    if (thread_.joinable()) thread_.join();
  }

 private:
  std::thread thread_;
};

Feeder& feeder() {
  static Feeder instance;
  return instance;
}

bool read_all(int fd, char* data, std::size_t size) {
  while (size > 0) {
    const ssize_t got = ::read(fd, data, size);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    data += got;
    size -= static_cast<std::size_t>(got);
  }
  return true;
}

// P's part: join with a time-out, then drain, then join for good. True if all went as it should.
bool join_then_drain(pid_t child, int sentinel, int queue, std::size_t expected, double patience) {
  pollfd watched = {.fd = sentinel, .events = POLLIN, .revents = 0};
  const int ended = ::poll(&watched, 1, static_cast<int>(patience * 1000));
  if (ended < 0) target::fail("poll");
  if (ended == 0) {
    target::say("S is still running after %g s, although it said goodbye", patience);
  } else {
    target::say("S has ended");
  }

  std::uint64_t size = 0;
  if (!read_all(queue, reinterpret_cast<char*>(&size), sizeof size) || size != expected)
    return false;
  std::vector<char> payload(size);
  if (!read_all(queue, payload.data(), payload.size())) return false;
  target::say("got %zu bytes", payload.size());

  int status = 0;
  if (::waitpid(child, &status, 0) != child) target::fail("waitpid");
  target::say("S ended with status %d", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
  return status == 0;
}

}  // namespace

int main(int argc, char** argv) {
  const auto size = static_cast<std::size_t>(target::number_argument(argc, argv, 1, 200000, 1e9));
  const double patience = target::number_argument(argc, argv, 2, 5, 1e6);

  // As with multiprocessing.Queue, both processes keep both ends of the queue's pipe.
  const target::PipeEnds queue = target::make_pipe();
  const target::PipeEnds sentinel = target::make_pipe();
  const pid_t child = ::fork();
  if (child < 0) target::fail("fork");
  if (child == 0) {
    ::close(sentinel.read_end);
    feeder().put(queue.write_end, std::vector<char>(size, 'x'));
    target::say("All done! Goodbye!");
    return 0;
  }
  ::close(sentinel.write_end);
  return join_then_drain(child, sentinel.read_end, queue.read_end, size, patience) ? 0 : 1;
}
