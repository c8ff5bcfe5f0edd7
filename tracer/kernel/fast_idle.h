#pragma once

#include "tracer/base/result.h"
#include "tracer/base/unique_fd.h"

namespace stucktrace::kernel {

// Keeps idle CPUs of the whole machine awake while it lives: a wake-up on another CPU then costs a
// few microseconds instead of tens, at the price of power. The kernel takes the wish back when the
// descriptor closes (Documentation/power/pm_qos_interface: /dev/cpu_dma_latency, microseconds as a
// 32-bit number). Needs write access to that file: root as a rule.
class FastIdle {
 public:
  static base::Result<FastIdle> hold();

 private:
  explicit FastIdle(base::UniqueFd file) : file_(std::move(file)) {}
  base::UniqueFd file_;
};

}  // namespace stucktrace::kernel
