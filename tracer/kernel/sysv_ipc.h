#pragma once

#include <cstdint>

#include "tracer/base/ids.h"
#include "tracer/base/result.h"

namespace stucktrace::kernel {

// System V semaphores and queues of our own IPC namespace. Needs read permission on the object;
// kGone where the set or queue was removed.

struct SemaphoreState {
  int value = 0;
  int waiting_for_more = 0;  // tasks asleep until the value grows
  base::Pid last_operator;   // who did the last semop(2); may be dead
};
base::Result<SemaphoreState> semaphore_state(int set, int number);

struct QueueState {
  std::uint64_t messages = 0;
  std::uint64_t capacity_bytes = 0;
  base::Pid last_sender;
  base::Pid last_receiver;
};
base::Result<QueueState> queue_state(int queue);

}  // namespace stucktrace::kernel
