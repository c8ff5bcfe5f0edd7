#pragma once

#include <fmt/format.h>
#include <unistd.h>

#include <cstdint>

namespace stucktrace::kernel {

// TracerPid of /proc/PID/status names the thread that traces (proc(5)). The process it belongs to,
// where it is ours; otherwise as it is.
inline std::int32_t tracer_process(std::int32_t tracer) {
  if (tracer == 0 || tracer == ::getpid()) return tracer;
  const bool ours = ::access(fmt::format("/proc/self/task/{}", tracer).c_str(), F_OK) == 0;
  return ours ? ::getpid() : tracer;
}

}  // namespace stucktrace::kernel
