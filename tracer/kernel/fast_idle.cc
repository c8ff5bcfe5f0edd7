#include "tracer/kernel/fast_idle.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdint>

namespace stucktrace::kernel {

base::Result<FastIdle> FastIdle::hold() {
  base::UniqueFd file{::open("/dev/cpu_dma_latency", O_WRONLY | O_CLOEXEC)};
  const std::int32_t latency = 0;
  if (!file.valid() || ::write(file.get(), &latency, sizeof latency) != sizeof latency) {
    return base::system_error("asking for fast idle CPUs through /dev/cpu_dma_latency",
                              base::Errno::last());
  }
  return FastIdle{std::move(file)};
}

}  // namespace stucktrace::kernel
