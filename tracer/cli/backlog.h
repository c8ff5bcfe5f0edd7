#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <mutex>
#include <string>
#include <string_view>

#include "tracer/base/clock.h"
#include "tracer/base/errno.h"

namespace stucktrace::cli {

// Lines for a reader who may have stopped reading, while others wait for whoever writes: what he
// leaves no room for is kept, and from some amount on left out, counted. From any thread.
class Backlog {
 public:
  // `fd` is the caller's; it may block. `hurry`: nobody is waited for any more.
  Backlog(int fd, std::string name, const std::atomic<bool>& hurry, const base::Clock& clock);

  enum class Patience : unsigned char {
    kNone,       // at once
    kWhileRead,  // where too much is kept, a reader who is slow, but reads, is waited for
  };
  // Whole lines.
  void put(std::string_view lines, Patience patience);
  // What is kept goes out as far as there is room.
  void retry();
  // What is kept and could not go out; none comes after it. How many lines were left out is said
  // in it.
  std::string take();
  // Of a write that will never succeed.
  base::Errno failed() const;

  static constexpr std::size_t kMost = 1024UL * 1024;     // that is kept
  static constexpr std::size_t kMostInHurry = 4 * kMost;  // for the report
  static constexpr base::Nanoseconds kPatience = std::chrono::seconds{1};

 private:
  bool has_room_for(std::size_t size) const;
  void wait_for_reader(std::unique_lock<std::mutex>& lock, std::size_t size);
  void tell_gap();
  void push();

  const int fd_;
  const std::string name_;
  const std::atomic<bool>& hurry_;
  const base::Clock& clock_;
  mutable std::mutex mutex_;
  std::string kept_;
  std::size_t gone_ = 0;   // of its beginning
  base::Instant read_at_;  // the last time the reader took something, or had nothing to take
  std::size_t gap_ = 0;    // lines left out since the last one that was kept
  std::size_t left_out_ = 0;
  base::Errno failed_;
};

// Writes what there is room for, without waiting for more; -1 with errno as write(2).
ssize_t write_now(int fd, std::string_view text);

}  // namespace stucktrace::cli
