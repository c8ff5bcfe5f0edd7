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

// Takes pairs of passive snapshots on a thread of its own, so that a large tree's tracer never
// waits for them. One request at a time.
class Sampler {
 public:
  struct Request {
    std::vector<base::Pid> roots;
    base::Nanoseconds settle{};
  };
  Sampler();
  ~Sampler();

  bool busy() const { return busy_.load(); }
  // Ignored while busy.
  void request(Request request);
  // A finished pair, once.
  std::optional<model::Sample> take();

 private:
  void work(std::stop_token stop);
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::optional<Request> request_;
  std::optional<model::Sample> done_;
  std::atomic<bool> busy_{false};
  std::jthread thread_;
};

// Two looks `settle` apart, on the calling thread; both are set on success.
base::Result<model::Sample> take_sample(const std::vector<base::Pid>& roots,
                                        base::Nanoseconds settle, bool all_stacks,
                                        const std::stop_token& stop = {});

}  // namespace stucktrace::cli
