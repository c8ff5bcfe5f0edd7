#pragma once

#include <cstddef>
#include <thread>

#include "tracer/kernel/quiet_thread.h"

namespace stucktrace::engine {

// Calls `each` with 0 to count - 1. What a look at a thread costs is the kernel's work, and two
// processors do it in half the time: for many, `each` is called from two threads at once.
template <class Each>
void by_halves(std::size_t count, const Each& each) {
  constexpr std::size_t kWorthAThread = 256;
  const auto some = [&](std::size_t first, std::size_t end) {
    for (std::size_t i = first; i < end; ++i) each(i);
  };
  const std::size_t half = count < kWorthAThread ? count : count / 2;
  std::jthread other;
  if (half < count) other = kernel::quiet_thread([&] { some(half, count); });
  some(0, half);
}

}  // namespace stucktrace::engine
