#include "tracer/cli/event_pump.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "tracer/kernel/affinity.h"
#include "tracer/kernel/quiet_thread.h"

namespace stucktrace::cli {
namespace {

constexpr base::Nanoseconds kTick = std::chrono::milliseconds{50};
// While events come they are fetched in batches this far apart: a wake-up for each would cost the
// tracer more than the tracee's whole stop.
constexpr base::Nanoseconds kBusyPause = std::chrono::milliseconds{4};
constexpr std::size_t kBatch = 1024;

// Keeps the calling thread off the CPU that tracer and tracee share.
class Elsewhere {
 public:
  Elsewhere() {
    if (const auto cpus = kernel::affinity()) all_ = *cpus;
  }
  void avoid(int cpu) {
    if (!all_ || cpu == avoided_) return;
    avoided_ = cpu;
    static_cast<void>(kernel::set_affinity(cpu < 0 ? *all_ : all_->without(cpu)));
  }

 private:
  std::optional<kernel::CpuSet> all_;
  int avoided_ = -1;
};

}  // namespace

void tell_counters(const engine::Tracer::Counters& tracer, const EventPump& pump, base::Log& log) {
  log.say(base::LogLevel::kVerbose, fmt::format("placement: {}", tracer.placement));
  const engine::EventQueue::Counters queue = pump.counters();
  log.say(base::LogLevel::kVerbose,
          fmt::format("stops: {} (waits for the event queue: {}, events lost: {})", tracer.stops,
                      queue.waits, queue.lost));
}

EventPump::EventPump(LiveSession& session, const base::Clock& clock, std::size_t tracers)
    : session_(session), clock_(clock) {
  for (std::size_t i = 0; i < tracers; ++i) {
    queues_.push_back(std::make_unique<engine::EventQueue>());
  }
}

std::vector<model::EventSink*> EventPump::sinks() {
  std::vector<model::EventSink*> sinks;
  for (const auto& queue : queues_) sinks.push_back(queue.get());
  return sinks;
}

engine::EventQueue::Counters EventPump::counters() const {
  engine::EventQueue::Counters sum;
  for (const auto& queue : queues_) {
    sum.waits += queue->counters().waits;
    sum.lost += queue->counters().lost;
  }
  return sum;
}

void EventPump::start(std::function<int()> shared_cpu) {
  thread_ = kernel::quiet_thread([this, ask = std::move(shared_cpu)] { work(ask); });
}

void EventPump::finish() {
  if (!thread_.joinable()) return;
  for (const auto& queue : queues_) queue->close();
  thread_.join();
}

engine::Directive EventPump::on_tick(base::Instant) {
  return detach_wanted_.load(std::memory_order_relaxed) ? engine::Directive::kDetach
                                                        : engine::Directive::kGoOn;
}

void EventPump::want_last_look(LastLook look) {
  const std::scoped_lock lock(last_look_mutex_);
  last_look_ = std::move(look);
}

std::optional<LastLook> EventPump::take_last_look() {
  const std::scoped_lock lock(last_look_mutex_);
  return std::exchange(last_look_, std::nullopt);
}

// The queue with the oldest event. What a tracer is about to emit may be older still by
// microseconds; the session puts up with that.
engine::EventQueue* EventPump::oldest() {
  engine::EventQueue* first = nullptr;
  for (const auto& queue : queues_) {
    if (queue->front() == nullptr) continue;
    if (first == nullptr || queue->front()->at < first->front()->at) first = queue.get();
  }
  return first;
}

std::size_t EventPump::drain() {
  std::size_t taken = 0;
  for (; taken < kBatch; ++taken) {
    engine::EventQueue* queue = oldest();
    if (queue == nullptr) break;
    session_.accept(*queue->front());
    queue->pop();
  }
  return taken;
}

void EventPump::work(const std::function<int()>& shared_cpu) {
  Elsewhere elsewhere;
  base::Instant next_tick = clock_.now() + kTick;
  for (;;) {
    const bool closing =
        std::ranges::all_of(queues_, [](const auto& queue) { return queue->closed(); });
    elsewhere.avoid(shared_cpu());
    const std::size_t taken = drain();
    if (closing && taken == 0) return;
    const base::Instant now = clock_.now();
    if (now >= next_tick) {
      next_tick = now + kTick;
      if (picture_wanted_.exchange(false)) session_.want_picture();
      if (auto look = take_last_look()) session_.want_last_look(std::move(*look));
      engine::EventQueue* next = oldest();
      const base::Instant seen = next == nullptr ? now : std::min(now, next->front()->at);
      if (session_.on_tick(now, seen) == engine::Directive::kDetach) detach_wanted_.store(true);
      last_look_over_.store(session_.last_look_over());
      failed_.store(session_.failed());
    }
    session_.flush_lines();
    // Sleeping on the first of several is as good as on any: it is a nap of milliseconds.
    const bool several = queues_.size() > 1;
    if (taken < kBatch && !closing) {
      queues_.front()->wait(taken > 0 || several ? kBusyPause : next_tick - now);
    }
  }
}

}  // namespace stucktrace::cli
