#include "tracer/engine/tracer_group.h"

#include <fmt/format.h>

#include <algorithm>

#include "tracer/kernel/affinity.h"
#include "tracer/kernel/quiet_thread.h"

namespace stucktrace::engine {
namespace {

// Passes the calls on, and keeps the place of a lone tracer where others can see it.
class Observing final : public TickObserver {
 public:
  Observing(TickObserver& observer, const Tracer& tracer, std::atomic<int>* shared_cpu)
      : observer_(observer), tracer_(tracer), shared_cpu_(shared_cpu) {}
  Directive on_tick(base::Instant now) override {
    if (shared_cpu_ != nullptr) shared_cpu_->store(tracer_.shared_cpu());
    return observer_.on_tick(now);
  }
  void on_picture_wanted() override { observer_.on_picture_wanted(); }

 private:
  TickObserver& observer_;
  const Tracer& tracer_;
  std::atomic<int>* shared_cpu_;
};

}  // namespace

std::size_t TracerGroup::useful(std::size_t processes) {
  const auto cpus = kernel::affinity();
  if (!cpus || cpus->count() < 2) return 1;
  // More threads than that only pass each other their CPUs.
  const auto most = 2 * static_cast<std::size_t>(cpus->count());
  return std::clamp<std::size_t>(processes, 1, most);
}

TracerGroup::TracerGroup(const TracerOptions& options, const base::Clock& clock,
                         const std::vector<model::EventSink*>& sinks, base::Log& log)
    : options_(options), clock_(clock), log_(log), ticker_(options.tick) {
  // Without the right to leave SCHED_IDLE again LOCAL is a risk in a machine at work: in attach
  // mode only on request.
  if (Placer::resolve(options_.placement) == PlacementPolicy::kOneWay) {
    options_.placement = PlacementPolicy::kNormal;
  }
  for (model::EventSink* sink : sinks) {
    members_.push_back(std::make_unique<Member>());
    members_.back()->sink = sink;
  }
}

TracerGroup::~TracerGroup() {
  go_on(Phase::kAbandon);
  for (const auto& member : members_) {
    if (member->thread.joinable()) member->thread.join();
  }
}

void TracerGroup::go_on(Phase phase) {
  const std::scoped_lock lock(mutex_);
  if (phase_ == Phase::kRun && phase == Phase::kAbandon) return;
  phase_ = phase;
  changed_.notify_all();
}

std::vector<TracerGroup::Target> TracerGroup::attach(const std::vector<base::Pid>& pids) {
  for (std::size_t i = 0; i < pids.size(); ++i) {
    members_[i % members_.size()]->targets.push_back({pids[i], {}});
  }
  for (std::size_t i = 1; i < members_.size(); ++i) {
    members_[i]->thread = kernel::quiet_thread([this, at = members_[i].get()] { work(*at); });
  }
  first_ = std::make_unique<Tracer>(options_, clock_, *members_[0]->sink, log_, ticker_);
  attach_all(*members_[0], *first_);
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return attached_ == members_.size(); });
  std::vector<Target> targets;
  for (std::size_t i = 0; i < pids.size(); ++i) {
    targets.push_back(members_[i % members_.size()]->targets[i / members_.size()]);
  }
  return targets;
}

void TracerGroup::attach_all(Member& member, Tracer& tracer) {
  for (Target& target : member.targets) target.attached = tracer.attach(target.pid);
  const std::scoped_lock lock(mutex_);
  ++attached_;
  changed_.notify_all();
}

void TracerGroup::work(Member& member) {
  Tracer tracer(options_, clock_, *member.sink, log_, ticker_);
  attach_all(member, tracer);
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return phase_ != Phase::kAttach; });
    if (phase_ == Phase::kAbandon) return;
  }
  follow(member, tracer);
}

void TracerGroup::follow(Member& member, Tracer& tracer) {
  Observing observing(*observer_, tracer, members_.size() == 1 ? &shared_cpu_ : nullptr);
  member.outcome = tracer.run(observing);
  member.placement = tracer.counters().placement;
  member.stops = tracer.counters().stops;
}

base::Result<Outcome> TracerGroup::run(TickObserver& observer) {
  observer_ = &observer;
  go_on(Phase::kRun);
  follow(*members_[0], *first_);
  Outcome whole;
  std::optional<base::Error> failure;
  for (const auto& member : members_) {
    if (member->thread.joinable()) member->thread.join();
    counters_.stops += member->stops;
    if (!counters_.placement.empty()) counters_.placement += " | ";
    counters_.placement += member->placement;
    if (!member->outcome) {
      if (!failure) failure = member->outcome.error();
      continue;
    }
    whole.detached |= member->outcome->detached;
    whole.left_behind += member->outcome->left_behind;
    if (member->outcome->ended_by_signal) whole.ended_by_signal = member->outcome->ended_by_signal;
  }
  if (failure) return base::Failure{*failure};
  return whole;
}

}  // namespace stucktrace::engine
