#include "tracer/engine/placement.h"

#include <algorithm>

namespace stucktrace::engine {

PlacementController::PlacementController(PlacementPolicy policy, const Limits& limits)
    : policy_(policy), limits_(limits), backoff_(limits.first_backoff) {}

PlacementController::Step PlacementController::move_to(Placement placement) {
  placement_ = placement;
  window_open_ = false;
  late_in_a_row_ = 0;
  return placement == Placement::kLocal ? Step::kGoLocal : Step::kGoNormal;
}

void PlacementController::back_off(base::Instant now) {
  next_trial_ = now + backoff_;
  backoff_ = std::min(2 * backoff_, limits_.last_backoff);
}

PlacementController::Step PlacementController::on_stop(base::Instant now, base::Instant resumed,
                                                       bool alone) {
  if (policy_ == PlacementPolicy::kNormal) return Step::kStay;
  const bool starts_local = policy_ == PlacementPolicy::kAuto || policy_ == PlacementPolicy::kLocal;
  if (!started_) {
    started_ = true;
    if (starts_local) return move_to(Placement::kLocal);
  }
  const base::Nanoseconds delay = now - resumed;
  if (!window_open_) {
    window_open_ = true;
    window_start_ = now;
    stops_ = 0;
    late_ = 0;
  } else {
    ++stops_;
    if (delay > limits_.late) ++late_;
    const base::Nanoseconds length = now - window_start_;
    if (stops_ >= limits_.window_stops || length >= limits_.window) {
      window_open_ = false;
      const double seconds = std::max(std::chrono::duration<double>(length).count(), 1e-9);
      const Step step = end_of_window(
          now, stops_ / seconds, static_cast<double>(late_) / static_cast<double>(stops_), alone);
      if (step != Step::kStay) return step;
    }
  }
  if (placement_ != Placement::kLocal) return Step::kStay;

  if (delay <= limits_.follow_late) {
    late_in_a_row_ = 0;
    return Step::kStay;
  }
  if (++late_in_a_row_ < 2 || now - last_follow_ < limits_.follow_pause) return Step::kStay;
  late_in_a_row_ = 0;
  last_follow_ = now;
  ++counters_.follows;
  return Step::kFollow;
}

PlacementController::Step PlacementController::end_of_window(base::Instant now, double rate,
                                                             double late_share, bool alone) {
  if (policy_ == PlacementPolicy::kLocal) {
    // Only a rescue brings it here.
    const bool rescued = placement_ == Placement::kNormal;
    return rescued && now >= next_trial_ ? move_to(Placement::kLocal) : Step::kStay;
  }
  if (policy_ == PlacementPolicy::kOneWay) {
    if (placement_ == Placement::kLocal) {
      return alone ? Step::kStay : move_to(Placement::kNormal);
    }
    dense_windows_ = alone && rate > limits_.busy_rate ? dense_windows_ + 1 : 0;
    if (entered_for_good_ || dense_windows_ < limits_.one_way_windows) return Step::kStay;
    entered_for_good_ = true;
    return move_to(Placement::kLocal);
  }
  const Placement other = placement_ == Placement::kLocal ? Placement::kNormal : Placement::kLocal;
  if (trial_) {
    trial_ = false;
    const double gain = placement_ == Placement::kLocal ? limits_.gain : limits_.gain_of_normal;
    if (rate < gain * rate_before_) {
      back_off(now);
      return move_to(other);
    }
    ++counters_.kept;
    backoff_ = limits_.first_backoff;
    next_trial_ = now + backoff_;
    return Step::kStay;
  }
  const bool doubtful =
      placement_ == Placement::kLocal ? late_share > limits_.late_share : rate > limits_.busy_rate;
  if (!doubtful || now < next_trial_) return Step::kStay;
  ++counters_.trials;
  trial_ = true;
  rate_before_ = rate;
  return move_to(other);
}

void PlacementController::refused() {
  policy_ = PlacementPolicy::kNormal;
  placement_ = Placement::kNormal;
  trial_ = false;
}

void PlacementController::rescued(base::Instant now) {
  ++counters_.rescues;
  placement_ = Placement::kNormal;
  trial_ = false;
  window_open_ = false;
  late_in_a_row_ = 0;
  back_off(now);
}

}  // namespace stucktrace::engine
