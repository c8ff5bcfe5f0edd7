#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "tracer/base/clock.h"
#include "tracer/cli/blocked_calls.h"
#include "tracer/model/event.h"

namespace stucktrace::cli {

// The stack of a blocked thread, and when it had been read.
struct BlockedStack {
  OpenCall call;  // that was asked about
  base::Instant taken_at;
  model::StackSeen stack;
};

// Reads stacks of threads that are blocked in a call on a thread of its own, so that neither a
// tracer nor a session waits for it. Stops nothing.
class BlockedStacks {
 public:
  explicit BlockedStacks(const base::Clock& clock);
  ~BlockedStacks();

  void request(std::vector<OpenCall> calls);
  // What has been read since the last time. One whose thread was seen to be in another call than
  // that asked about is left out.
  std::vector<BlockedStack> take();

 private:
  void work(const std::stop_token& stop);

  const base::Clock& clock_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::vector<OpenCall> wanted_;
  std::vector<BlockedStack> read_;
  std::jthread thread_;
};

}  // namespace stucktrace::cli
