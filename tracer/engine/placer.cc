#include "tracer/engine/placer.h"

#include <fmt/format.h>
#include <pthread.h>
#include <unistd.h>

#include <utility>

#include "tracer/kernel/quiet_thread.h"

namespace stucktrace::engine {

using kernel::CpuSet;
using kernel::SchedClass;

namespace {

base::Nanoseconds read_clock(clockid_t clock) {
  timespec time{};
  if (clock_gettime(clock, &time) != 0) return {};
  return std::chrono::seconds{time.tv_sec} + base::Nanoseconds{time.tv_nsec};
}

}  // namespace

PlacementPolicy Placer::resolve(PlacementPolicy wanted) {
  if (wanted == PlacementPolicy::kNormal) return wanted;
  const auto cpus = kernel::affinity();
  // On a single CPU tracer and tracee share it anyway.
  if (!cpus || cpus->count() < 2) return PlacementPolicy::kNormal;
  if (wanted != PlacementPolicy::kAuto) return wanted;
  return kernel::may_leave_idle_class() ? PlacementPolicy::kAuto : PlacementPolicy::kOneWay;
}

Placer::Placer(PlacementPolicy policy)
    : policy_(resolve(policy)), controller_(policy_), thread_(::gettid()) {
  if (const auto cpus = kernel::affinity()) original_ = *cpus;
  if (policy_ == PlacementPolicy::kNormal) return;
  pthread_getcpuclockid(pthread_self(), &thread_time_);
  watchdog_ = kernel::quiet_thread([this](const std::stop_token& stop) { watch(stop); });
}

Placer::~Placer() {
  watchdog_ = {};
  finish();
}

void Placer::finish() {
  if (local_.load()) go_normal();
  finished_ = true;
}

void Placer::on_stop(base::Tid tracee, base::Instant now, bool alone) {
  if (finished_) return;
  progress_.fetch_add(1, std::memory_order_relaxed);
  if (rescued_.load(std::memory_order_relaxed)) {
    rescued_.store(false);
    controller_.rescued(now);
  }
  switch (controller_.on_stop(now, resumed_, alone)) {
    case PlacementController::Step::kStay:
      return;
    case PlacementController::Step::kFollow:
      return follow(tracee);
    case PlacementController::Step::kGoLocal:
      return go_local(tracee);
    case PlacementController::Step::kGoNormal:
      return go_normal();
  }
}

void Placer::go_local(base::Tid tracee) {
  const std::optional<int> cpu = kernel::last_cpu(tracee);
  // What cannot be left again is not entered where others want the CPUs: tracer and tracee take
  // turns, so that one of them is able to run.
  constexpr int kOwnShare = 2;
  if (policy_ == PlacementPolicy::kOneWay && kernel::runnable_tasks().value_or(0) > kOwnShare) {
    controller_.refused();
    return;
  }
  if (!cpu || !original_ || !original_->contains(*cpu) ||
      !kernel::set_affinity(CpuSet::only(*cpu)) || !kernel::set_sched_class(SchedClass::kIdle)) {
    // A tracee on CPUs that are not ours (cpuset, taskset) cannot be followed.
    if (original_) static_cast<void>(kernel::set_affinity(*original_));
    controller_.refused();
    return;
  }
  shared_cpu_.store(*cpu, std::memory_order_relaxed);
  local_.store(true);
}

void Placer::go_normal() {
  local_.store(false);
  shared_cpu_.store(-1, std::memory_order_relaxed);
  // Class first: as SCHED_IDLE on a busy CPU the next call might be long in coming.
  static_cast<void>(kernel::set_sched_class(SchedClass::kOther));
  if (original_) static_cast<void>(kernel::set_affinity(*original_));
}

void Placer::follow(base::Tid tracee) {
  const std::optional<int> cpu = kernel::last_cpu(tracee);
  if (!cpu || *cpu == shared_cpu_.load(std::memory_order_relaxed)) return;
  if (!original_->contains(*cpu) || !kernel::set_affinity(CpuSet::only(*cpu))) return;
  shared_cpu_.store(*cpu, std::memory_order_relaxed);
  ++moves_;
}

bool Placer::starving() {
  const std::uint64_t progress = progress_.load(std::memory_order_relaxed);
  const base::Nanoseconds used = read_clock(thread_time_);
  const base::Nanoseconds now = read_clock(CLOCK_MONOTONIC);
  const bool stands = progress == std::exchange(last_progress_, progress);
  const base::Nanoseconds ran = used - std::exchange(last_used_, used);
  const base::Nanoseconds since = now - std::exchange(last_look_, now);
  // Long work between two stops is no starvation: then its CPU time grows.
  return stands && 10 * ran < since && kernel::own_thread_state(thread_) == 'R';
}

void Placer::watch(const std::stop_token& stop) {
  constexpr base::Nanoseconds kLocalPause = std::chrono::milliseconds{4};
  constexpr base::Nanoseconds kNormalPause = std::chrono::milliseconds{20};
  bool was_local = false;
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    wake_.wait_for(lock, stop, was_local ? kLocalPause : kNormalPause, [] { return false; });
    const bool local = local_.load();
    const bool starves = starving();
    if (local && was_local && starves) {
      rescued_.store(true);
      local_.store(false);
      shared_cpu_.store(-1, std::memory_order_relaxed);
      static_cast<void>(kernel::set_sched_class(SchedClass::kOther, thread_));
      static_cast<void>(kernel::set_affinity(*original_, thread_));
    }
    was_local = local;
  }
}

std::string Placer::description() const {
  const PlacementController::Counters& counters = controller_.counters();
  const char* policy = policy_ == PlacementPolicy::kAuto ? "auto"
                       : policy_ == PlacementPolicy::kOneWay
                           ? "one-way (no right to leave SCHED_IDLE)"
                       : policy_ == PlacementPolicy::kLocal ? "local"
                                                            : "normal";
  return fmt::format("{}; {} at the end, {} trials ({} kept), {} rescues, {} looks, {} moves",
                     policy, controller_.placement() == Placement::kLocal ? "LOCAL" : "NORMAL",
                     counters.trials, counters.kept, counters.rescues, counters.follows, moves_);
}

}  // namespace stucktrace::engine
