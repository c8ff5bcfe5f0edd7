#pragma once

#include <cstdint>
#include <optional>

#include "tracer/base/clock.h"
#include "tracer/base/ids.h"
#include "tracer/base/result.h"

namespace stucktrace::kernel {

// System V semaphores and queues of our own IPC namespace. Needs read permission on the object;
// kGone where the set or queue was removed.

struct SemaphoreState {
  int value = 0;
  int waiting_for_more = 0;  // tasks asleep until the value grows
  // Who did the last semop(2), as our pid namespace numbers him (0: not in it); may be dead.
  base::Pid last_operator;
  base::Nanoseconds last_operation{};  // of any semaphore of the set; CLOCK_REALTIME, whole seconds
};
base::Result<SemaphoreState> semaphore_state(int set, int number);

struct QueueState {
  std::uint64_t messages = 0;
  std::uint64_t capacity_bytes = 0;
  base::Pid last_sender;  // 0: nobody yet, or not in our pid namespace
  base::Pid last_receiver;
  base::Nanoseconds last_sent{}, last_received{};  // CLOCK_REALTIME, whole seconds
};
base::Result<QueueState> queue_state(int queue);

// When a process began, by CLOCK_REALTIME, from field 22 of its stat (ticks since boot); nullopt if
// the clocks cannot be read.
std::optional<base::Nanoseconds> wall_time_of(std::uint64_t start_ticks);

}  // namespace stucktrace::kernel
