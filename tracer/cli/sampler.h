#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "tracer/base/clock.h"
#include "tracer/base/ids.h"
#include "tracer/base/result.h"
#include "tracer/model/event.h"

namespace stucktrace::cli {

struct SampleRequest {
  std::vector<base::Pid> roots;
  base::Nanoseconds settle{};
  bool stacks = true;                                      // of blocked threads of the tree
  bool all_stacks = false;                                 // of the processes taken in as well
  bool may_stop = false;                                   // threads that run, for their stack
  base::Nanoseconds time_limit = std::chrono::seconds{5};  // of each look
};

// Takes pairs of passive snapshots on a thread of its own, so that a large tree's tracer never
// waits for them. One request at a time.
class Sampler {
 public:
  Sampler();
  ~Sampler();

  bool busy() const { return busy_.load(); }
  // Ignored while busy.
  void request(SampleRequest request);
  // A finished pair, once.
  std::optional<model::Sample> take();

 private:
  void work(const std::stop_token& stop);
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::optional<SampleRequest> request_;
  std::optional<model::Sample> done_;
  std::atomic<bool> busy_{false};
  std::jthread thread_;
};

// Two looks `settle` apart, on the calling thread; both are set on success. A stop request cuts the
// time between them short.
base::Result<model::Sample> take_sample(const SampleRequest& request,
                                        const std::stop_token& stop = {});

}  // namespace stucktrace::cli
