#include "syscalls/decode_parts.h"

namespace stucktrace::syscalls {
namespace {

constexpr std::int64_t kUtimeNow = 0x3fffffff;   // linux/stat.h
constexpr std::int64_t kUtimeOmit = 0x3ffffffe;  // linux/stat.h

Value timespec_value(const KernelTimespec& time) {
  return Value{Duration{time.seconds, time.fraction}};
}

// A hostile tv_usec may be anything: the product wraps instead of overflowing.
Value timeval_value(const KernelTimespec& time) {
  const auto nanoseconds =
      static_cast<std::int64_t>(static_cast<std::uint64_t>(time.fraction) * 1000U);
  return Value{Duration{time.seconds, nanoseconds, true}};
}

Value itimer_value(const KernelItimer& timer, Value (*part)(const KernelTimespec&)) {
  return Fields{}
      .add("it_interval", part(timer.interval))
      .add("it_value", part(timer.value))
      .done();
}

Value itimerspec_value(const KernelItimer& timer) {
  return itimer_value(timer, timespec_value);
}
Value itimerval_value(const KernelItimer& timer) {
  return itimer_value(timer, timeval_value);
}

Value file_time_value(const KernelTimespec& time) {
  if (time.fraction == kUtimeNow) return Value{Symbol{time.fraction, "UTIME_NOW"}};
  if (time.fraction == kUtimeOmit) return Value{Symbol{time.fraction, "UTIME_OMIT"}};
  return timespec_value(time);
}

}  // namespace

std::optional<Value> decode_time(const Call& call, ArgKind kind, std::size_t index) {
  const base::RemoteAddr address = call.pointer(index);
  switch (kind) {
    case ArgKind::kTimespecOut:
    case ArgKind::kTimevalOut:
    case ArgKind::kItimerspecOut:
    case ArgKind::kItimervalOut:
      if (!call.succeeded()) return pointer_value(address);
      break;
    case ArgKind::kTimespecRem:
      // Written only by a sleep a signal ended (nanosleep(2)).
      if (!call.failed()) return pointer_value(address);
      break;
    default:
      break;
  }
  switch (kind) {
    case ArgKind::kTimespecIn:
    case ArgKind::kTimespecOut:
    case ArgKind::kTimespecRem:
      return pointee<KernelTimespec>(call, address, timespec_value);
    case ArgKind::kTimespecPairIn:
      return pointee<KernelTimePair>(call, address, [](const KernelTimePair& times) {
        return Value{Array{{file_time_value(times[0]), file_time_value(times[1])}, false}};
      });
    case ArgKind::kTimevalIn:
    case ArgKind::kTimevalOut:
      return pointee<KernelTimespec>(call, address, timeval_value);
    case ArgKind::kItimerspecIn:
    case ArgKind::kItimerspecOut:
      return pointee<KernelItimer>(call, address, itimerspec_value);
    case ArgKind::kItimervalIn:
    case ArgKind::kItimervalOut:
      return pointee<KernelItimer>(call, address, itimerval_value);
    default:
      return std::nullopt;
  }
}

}  // namespace stucktrace::syscalls
