#pragma once

// Blocked calls, one thread each, that are released one after another by what they wait for
// (blocked_io.cc, blocked_waits.cc).

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/syscall.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <string>
#include <thread>

#include "target/target.h"

namespace target {

struct BlockedCall {
  std::string name;
  std::function<long()> wait;     // the call; negative with errno on failure
  std::function<void()> release;  // makes it return
  long number = 0;                // of the system call it must be seen blocked in
  long expected = 0;              // what it returns when released
  std::atomic<pid_t> tid = 0;
  std::atomic<bool> released = false;
  bool early = false;
  long result = 0;
  int code = 0;
  std::thread thread;

  bool blocked() const {
    char path[64];
    std::snprintf(path, sizeof path, "/proc/self/task/%d/syscall", tid.load());
    const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
    char text[32] = {};
    const ssize_t got = ::read(fd, text, sizeof text - 1);
    ::close(fd);
    // A task that runs is "running" there.
    return got > 0 && text[0] != 'r' && std::strtol(text, nullptr, 10) == number;
  }
};

inline constexpr long kAnyResult = -2;  // that is no failure

class BlockedCalls {
 public:
  // `only`: the one call that is wanted, or null.
  explicit BlockedCalls(const char* only) : only_(only) {}

  void add(const char* name, long number, std::function<long()> wait, std::function<void()> release,
           long expected = kAnyResult) {
    if (only_ != nullptr && std::strcmp(only_, name) != 0) return;
    BlockedCall& call = calls_.emplace_back();
    call.name = name;
    call.number = number;
    call.wait = std::move(wait);
    call.release = std::move(release);
    call.expected = expected;
  }

  // The tid of a call's thread, for a release by a signal.
  pid_t tid_of(const char* name) const {
    for (const BlockedCall& call : calls_) {
      if (call.name == name) return call.tid;
    }
    return 0;
  }

  void run() {
    for (BlockedCall& call : calls_) {
      call.thread = std::thread([&call] {
        call.tid = static_cast<pid_t>(::syscall(SYS_gettid));
        errno = 0;
        call.result = call.wait();
        call.code = call.result < 0 ? errno : 0;
        call.early = !call.released;
      });
    }
    for (const BlockedCall& call : calls_) {
      for (int tries = 0; call.tid == 0 || !call.blocked(); ++tries) {
        if (tries > 10000) {
          say("%s does not block", call.name.c_str());
          std::_Exit(1);
        }
        ::poll(nullptr, 0, 1);
      }
    }
    start();
    for (BlockedCall& call : calls_) {
      call.released = true;
      call.release();
      call.thread.join();
      const bool right =
          call.expected == kAnyResult ? call.result >= 0 : call.result == call.expected;
      if (call.early || !right) {
        say("%s %s: %ld errno %d", call.name.c_str(), call.early ? "ended early" : "failed",
            call.result, call.code);
      } else {
        say("%s waited", call.name.c_str());
      }
    }
  }

 private:
  const char* only_;
  std::list<BlockedCall> calls_;
};

}  // namespace target
