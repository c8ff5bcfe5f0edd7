#pragma once

#include <string>
#include <vector>

#include "syscalls/decode.h"
#include "syscalls/trace_set.h"
#include "tracer/base/clock.h"
#include "tracer/base/ids.h"
#include "tracer/kernel/stop.h"

namespace stucktrace::engine {

struct TracerOptions {
  kernel::TraceStyle style = kernel::TraceStyle::kSeize;
  syscalls::Payload payload = syscalls::Payload::kText;
  // Calls outside the set stop the tracee all the same but become no events, unless the tree or its
  // descriptors would be lost track of without them.
  syscalls::TraceSet trace = syscalls::TraceSet::all();
  // How often the observer is called while nothing happens.
  base::Nanoseconds tick = std::chrono::milliseconds{50};
  // How long a task may take to stop when it is to be let go; then it is left to the kernel, which
  // detaches it when the tracer exits.
  base::Nanoseconds detach_limit = std::chrono::seconds{3};
};

}  // namespace stucktrace::engine
