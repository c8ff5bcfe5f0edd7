#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tracer/base/clock.h"
#include "tracer/model/event.h"

namespace stucktrace::bench {

// The events of one imagined process, endless: what a tracer at work is fed with. Cycles through a
// prepared list; only sequence and time are made anew, so that what is measured is the consumer.
class Stream {
 public:
  // dd bs=1: a read of one byte from 0 and a write of one byte to 1, again and again. A loop for
  // the folder.
  static Stream dense();
  // A process that looks at files: openat, newfstatat, read, lseek, close, each time of another
  // path. Nothing repeats closely enough to be folded.
  static Stream varied();
  // One that waits by polling: wait4(WNOHANG) and a short select. A loop that stays one.
  static Stream polling();
  // A build that tells each step on stdout, a line a write.
  static Stream chatty();

  // What a consumer must have seen first.
  const model::Event& begin() const { return begin_; }
  // Valid until the next call.
  const model::Event& next() {
    model::Event& event = events_[at_];
    if (++at_ == events_.size()) at_ = 0;
    event.sequence = ++sequence_;
    now_ = now_ + kBetween;
    event.at = now_;
    return event;
  }
  base::Instant start() const { return begin_.at; }

 private:
  static constexpr base::Nanoseconds kBetween{2000};
  Stream(model::Event begin, std::vector<model::Event> events)
      : begin_(std::move(begin)),
        events_(std::move(events)),
        now_(begin_.at),
        sequence_(begin_.sequence) {}

  model::Event begin_;
  std::vector<model::Event> events_;
  std::size_t at_ = 0;
  base::Instant now_;
  std::uint64_t sequence_ = 0;
};

}  // namespace stucktrace::bench
