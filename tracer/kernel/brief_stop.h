#pragma once

#include <cstdint>
#include <functional>

#include "tracer/base/ids.h"
#include "tracer/base/result.h"

namespace stucktrace::kernel {

// Where a stopped thread stands in user code.
struct StandingRegisters {
  std::uint64_t program_counter = 0;
  std::uint64_t stack_pointer = 0;
  std::uint64_t frame_pointer = 0;
};

// Stops one thread by PTRACE_SEIZE for as long as `look` takes, and lets it go as it was: a signal
// that was on its way is delivered, a stopped process stays stopped. Nothing else may be traced by
// the calling thread. Errors: kGone, kDenied (no permission, or somebody traces it already),
// kUnsupported (a 32-bit thread), kSystem with ETIMEDOUT (in an uninterruptible sleep: the kernel
// lets it go when this process ends).
base::Result<void> with_stopped(base::Tid tid,
                                const std::function<void(const StandingRegisters&)>& look);

}  // namespace stucktrace::kernel
