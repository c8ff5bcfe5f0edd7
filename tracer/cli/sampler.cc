#include "tracer/cli/sampler.h"

#include <unistd.h>

#include "tracer/engine/restarted_call.h"
#include "tracer/engine/snapshotter.h"
#include "tracer/kernel/quiet_thread.h"

namespace stucktrace::cli {

base::Result<model::Sample> take_sample(const SampleRequest& request, const std::stop_token& stop) {
  engine::Snapshotter snapshotter;
  engine::SnapshotOptions options;
  options.roots = request.roots;
  options.time_limit = request.time_limit;
  options.tracer_self = base::Pid{::getpid()};
  // The first look is only compared with; stacks are read once, as late as possible.
  options.native_stacks = false;
  options.python_stacks = false;
  auto before = snapshotter.take(options);
  if (!before) return base::Failure{before.error()};

  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  never.wait_for(lock, stop, request.settle, [] { return false; });

  options.native_stacks = request.stacks;
  options.python_stacks = request.stacks;
  options.all_stacks = request.all_stacks;
  options.may_stop = request.stacks && request.may_stop;
  auto now = snapshotter.take(options);
  if (!now) return base::Failure{now.error()};
  engine::name_restarted_calls(**before);
  engine::name_restarted_calls(**now);
  return model::Sample{std::move(*before), std::move(*now)};
}

Sampler::Sampler() {
  thread_ = kernel::quiet_thread([this](const std::stop_token& stop) { work(stop); });
}

Sampler::~Sampler() {
  thread_.request_stop();
  wake_.notify_all();
}

void Sampler::request(SampleRequest request) {
  const std::scoped_lock lock(mutex_);
  if (busy_) return;
  busy_ = true;
  request_ = std::move(request);
  wake_.notify_all();
}

std::optional<model::Sample> Sampler::take() {
  const std::scoped_lock lock(mutex_);
  return std::exchange(done_, std::nullopt);
}

void Sampler::work(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    SampleRequest request;
    {
      std::unique_lock lock(mutex_);
      if (!wake_.wait(lock, stop, [this] { return request_.has_value(); })) return;
      request = std::move(*request_);
      request_.reset();
    }
    auto sample = take_sample(request, stop);
    const std::scoped_lock lock(mutex_);
    // A tree that ended meanwhile gives no sample: there is nothing to diagnose any more.
    if (sample && !stop.stop_requested()) done_ = std::move(*sample);
    busy_ = false;
  }
}

}  // namespace stucktrace::cli
