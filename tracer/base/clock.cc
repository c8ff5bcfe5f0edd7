#include "tracer/base/clock.h"

#include <ctime>

namespace stucktrace::base {
namespace {
Nanoseconds read(clockid_t id) {
  timespec time{};
  clock_gettime(id, &time);
  return std::chrono::seconds{time.tv_sec} + Nanoseconds{time.tv_nsec};
}
}  // namespace

Instant SystemClock::now() const {
  return {read(CLOCK_MONOTONIC)};
}
Nanoseconds SystemClock::wall() const {
  return read(CLOCK_REALTIME);
}

}  // namespace stucktrace::base
