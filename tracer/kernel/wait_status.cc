#include "tracer/kernel/wait_status.h"

#include <fmt/format.h>

namespace stucktrace::kernel {

std::string WaitStatus::describe() const {
  if (continued()) return "continued";
  if (exited()) return fmt::format("exited with {}", exit_status());
  if (signaled()) return fmt::format("killed by signal {}", term_signal());
  return fmt::format("stopped by signal {}, event {} (raw {:#x})", stop_signal() & 0x7f, event(),
                     raw_);
}

}  // namespace stucktrace::kernel
