#pragma once

#include <cstdint>
#include <optional>

#include "tracer/base/clock.h"
#include "tracer/base/ids.h"
#include "tracer/kernel/procfs.h"

namespace stucktrace::kernel {

// What a process has done since it began.
struct ProcessWork {
  base::Nanoseconds cpu{};    // of all its threads, ended ones too (clock_getcpuclockid(3))
  std::uint64_t written = 0;  // bytes, by write(2) and its like to whatever it was (proc(5), io)
};
// nullopt: it has ended. Bytes of a process that may not be looked into count as none.
std::optional<ProcessWork> process_work(const Procfs& procfs, base::Pid pid);

}  // namespace stucktrace::kernel
