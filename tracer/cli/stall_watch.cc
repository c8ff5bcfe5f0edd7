#include "tracer/cli/stall_watch.h"

#include <algorithm>
#include <variant>

namespace stucktrace::cli {
namespace {
constexpr int kIdleFactor = 4;      // looks without a stalled call, in stall times
constexpr int kLongestFactor = 16;  // the rarest interval, in stall times
}  // namespace

void StallWatch::observe(const model::Event& event) {
  if (!first_event_) first_event_ = event.at;
  if (const auto* enter = std::get_if<model::SyscallEnter>(&event.data)) {
    const syscalls::SyscallRow* row = syscalls::find_row(enter->call.abi, enter->call.number);
    if (row != nullptr && row->has(syscalls::Trait::kMayBlock)) {
      blocked_since_[event.tid] = base::Instant{event.at.since_boot - enter->age};
    }
  } else if (std::holds_alternative<model::SyscallExit>(event.data)) {
    const auto blocked = blocked_since_.find(event.tid);
    if (blocked != blocked_since_.end()) blocked->second.reset();
  } else if (std::holds_alternative<model::TaskExit>(event.data)) {
    blocked_since_.erase(event.tid);
  }
}

bool StallWatch::due(base::Instant now) {
  if (!first_event_) return false;
  std::uint64_t picture = 0;
  bool stalled = false;
  for (const auto& [tid, since] : blocked_since_) {
    if (!since || now - *since < stuck_after_) continue;
    stalled = true;
    // Order-free: the map has no order worth keeping.
    picture += static_cast<std::uint64_t>(tid.value()) * 0x9e3779b97f4a7c15ULL ^
               static_cast<std::uint64_t>(since->since_boot.count());
  }
  if (picture != picture_) interval_ = stuck_after_;
  const base::Nanoseconds wait =
      stalled ? interval_ : std::max(interval_, kIdleFactor * stuck_after_);
  // The first stall is looked at as soon as it is one.
  const bool first_stall = stalled && !last_look_;
  if (!first_stall && now - last_look_.value_or(*first_event_) < wait) return false;
  last_look_ = now;
  if (picture == picture_) interval_ = std::min(2 * interval_, kLongestFactor * stuck_after_);
  picture_ = picture;
  return true;
}

}  // namespace stucktrace::cli
