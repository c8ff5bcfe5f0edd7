#pragma once

#include <optional>
#include <unordered_map>

#include "syscalls/table.h"
#include "tracer/base/clock.h"
#include "tracer/model/event.h"

namespace stucktrace::cli {

// Says when a tree is worth a look: some thread has been in one blocking call for the stall time,
// or nothing was looked at for long (loops of short waits hide there). Looks at an unchanged
// picture become rarer, so that an idle server costs nothing.
class StallWatch {
 public:
  explicit StallWatch(base::Nanoseconds stuck_after)
      : stuck_after_(stuck_after), interval_(stuck_after) {}

  void observe(const model::Event& event);
  bool due(base::Instant now);

 private:
  base::Nanoseconds stuck_after_;
  base::Nanoseconds interval_;
  // Not blocked: nullopt. A place stays till the task ends, since the next call wants it again.
  std::unordered_map<base::Tid, std::optional<base::Instant>> blocked_since_;
  std::optional<base::Instant> last_look_;
  std::optional<base::Instant> first_event_;
  std::uint64_t picture_ = 0;  // of the blocked calls at the last look
};

}  // namespace stucktrace::cli
