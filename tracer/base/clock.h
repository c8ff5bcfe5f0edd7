#pragma once

#include <chrono>
#include <cstdint>

namespace stucktrace::base {

using Nanoseconds = std::chrono::nanoseconds;

// A point on CLOCK_MONOTONIC. Comparable within one boot of one machine.
struct Instant {
  Nanoseconds since_boot{};
  constexpr auto operator<=>(const Instant&) const = default;
  friend constexpr Nanoseconds operator-(Instant a, Instant b) {
    return a.since_boot - b.since_boot;
  }
  friend constexpr Instant operator+(Instant a, Nanoseconds d) { return {a.since_boot + d}; }
};

// The port through which time is read; passed in, never global, so that tests own time.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual Instant now() const = 0;
  // CLOCK_REALTIME since the epoch.
  virtual Nanoseconds wall() const = 0;
};

class SystemClock final : public Clock {
 public:
  Instant now() const override;
  Nanoseconds wall() const override;
};

}  // namespace stucktrace::base
