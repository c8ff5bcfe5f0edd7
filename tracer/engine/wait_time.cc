// Time in waits: sleeps, signal waits, time-outs and deadlines.

#include <ctime>

#include "tracer/engine/wait_context.h"

namespace stucktrace::engine {

using model::Wait;
using model::WaitKind;
using syscalls::Sys;

std::optional<base::Nanoseconds> read_time(const WaitContext& context, base::RemoteAddr address,
                                           TimeUnit unit) {
  if (!address) return std::nullopt;
  // A restarted 32-bit call no longer tells which width of time it was made with; the short one
  // reads the seconds right in either case.
  syscalls::KernelTimespec time;
  if (!syscalls::read_wire(context.memory, address, context.layout(), time)) return std::nullopt;
  constexpr std::int64_t kPerSecond = 1'000'000'000;
  const std::int64_t scale = unit == TimeUnit::kMicroseconds ? 1000 : 1;
  // select(2) takes any number of microseconds.
  if (unit == TimeUnit::kMicroseconds && time.fraction >= kPerSecond / scale) {
    const std::int64_t whole = time.fraction / (kPerSecond / scale);
    if (time.seconds > INT64_MAX - whole) return std::nullopt;
    time.seconds += whole;
    time.fraction %= kPerSecond / scale;
  }
  if (time.seconds < 0 || time.fraction < 0 || time.fraction >= kPerSecond / scale) {
    return std::nullopt;
  }
  // Anything past the range of nanoseconds (292 years) is as good as no time-out.
  if (time.seconds >= INT64_MAX / kPerSecond) return std::nullopt;
  return base::Nanoseconds{time.seconds * kPerSecond + time.fraction * scale};
}

std::optional<base::Nanoseconds> time_to(const WaitContext& context, int clock_id,
                                         base::Nanoseconds deadline) {
  switch (clock_id) {
    case CLOCK_REALTIME:
      return deadline - context.around.clock.wall();
    case CLOCK_MONOTONIC:
      return deadline - context.around.clock.now().since_boot;
    default:
      return std::nullopt;
  }
}

void shorten_remaining(Wait& wait, base::Nanoseconds remaining) {
  if (!wait.remaining || remaining < *wait.remaining) wait.remaining = remaining;
}

void set_millisecond_timeout(Wait& wait, int milliseconds) {
  if (milliseconds >= 0) wait.timeout = std::chrono::milliseconds{milliseconds};
}

Wait read_sleep(const WaitContext& context) {
  Wait wait;
  wait.kind = WaitKind::kSleep;
  if (context.id == Sys::nanosleep) {
    wait.timeout = read_time(context, context.pointer(0));
  } else {
    const auto time = read_time(context, context.pointer(2));
    const bool absolute = (context.arg(1) & TIMER_ABSTIME) != 0;
    if (time && absolute) {
      wait.remaining = time_to(context, context.int_arg(0), *time);
      wait.timeout = wait.remaining;
    } else {
      wait.timeout = time;
    }
  }
  if (!wait.timeout) wait.on.push_back(model::OnUnknown{"how long it sleeps could not be read"});
  return wait;
}

Wait read_signal_wait(const WaitContext& context) {
  Wait wait;
  wait.kind = WaitKind::kSignalWait;
  wait.on.push_back(model::OnSignal{});
  if (context.id == Sys::rt_sigtimedwait) wait.timeout = read_time(context, context.pointer(2));
  return wait;
}

}  // namespace stucktrace::engine
