#pragma once

#include <optional>
#include <string>

#include "syscalls/decode.h"
#include "syscalls/trace_set.h"
#include "tracer/base/clock.h"
#include "tracer/base/ids.h"
#include "tracer/engine/launch_filter.h"
#include "tracer/engine/placement.h"
#include "tracer/kernel/stop.h"

namespace stucktrace::engine {

struct TracerOptions {
  kernel::TraceStyle style = kernel::TraceStyle::kSeize;
  syscalls::Payload payload = syscalls::Payload::kText;
  // Calls outside the set stop the tracee all the same but become no events, unless the tree or its
  // descriptors would be lost track of without them.
  syscalls::TraceSet trace = syscalls::TraceSet::all();
  // launch(): stop at the filter's calls alone; its set stands in place of `trace` then. Where the
  // kernel has no filters the command is traced by `trace` without one, and a note says so.
  std::optional<LaunchFilter> filter;
  // Calls at whose entry the thread's stack is taken (model::StackSeen). They become events even if
  // they are not in `trace`.
  std::optional<syscalls::TraceSet> stacks_at;
  // Measure where each call's time goes (model::CallTimes): two more reads of /proc a call.
  bool measure_calls = false;
  // launch(): the tree is killed when the tracer ends. With a filter it always is: the calls it
  // names would fail with ENOSYS without a tracer (seccomp(2)).
  bool kill_on_exit = false;
  // launch(): the tree may be ended before it ends by itself. So what has to be let go on the way
  // must be found again: from then on its orphans become the tool's children. And the tool does not
  // stop with its command where no terminal could continue them.
  bool may_be_ended = false;
  // Where the tracer's own thread runs.
  PlacementPolicy placement = PlacementPolicy::kAuto;
  // How often the observer is called while nothing happens.
  base::Nanoseconds tick = std::chrono::milliseconds{50};
  // How long a task that stops before its maker's event waits for that event. Then it goes on, and
  // says itself who it is: the maker may be dead.
  base::Nanoseconds hold_limit = std::chrono::milliseconds{40};
  // How long a task may take to stop when it is to be let go; then it is left to the kernel, which
  // detaches it when the tracer exits.
  base::Nanoseconds detach_limit = std::chrono::seconds{3};
};

}  // namespace stucktrace::engine
