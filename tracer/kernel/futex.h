#pragma once

#include <atomic>
#include <cstdint>

#include "tracer/base/clock.h"

namespace stucktrace::kernel {

// futex(2) on a word of our own, private to this process. std::atomic's wait has no time limit.

// Sleeps while the word holds `expected`, at most `limit`. May wake for no reason.
void futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                base::Nanoseconds limit);
void futex_wake(const std::atomic<std::uint32_t>& word);

}  // namespace stucktrace::kernel
