#pragma once

#include <functional>
#include <span>

#include "tracer/base/result.h"
#include "tracer/model/event.h"

namespace stucktrace::model {

// The events of a trace that is over, for who has to go through them more than once: they need not
// all be in memory.
class EventSource {
 public:
  virtual ~EventSource() = default;
  // All of them in their order, the same at each call. An error if not all could be had; `use` has
  // seen those before.
  virtual base::Result<void> for_each(const std::function<void(const Event&)>& use) const = 0;
};

// Events that are in memory. They must outlive this.
class EventList final : public EventSource {
 public:
  explicit EventList(std::span<const Event> events) : events_(events) {}
  base::Result<void> for_each(const std::function<void(const Event&)>& use) const override {
    for (const Event& event : events_) use(event);
    return {};
  }

 private:
  std::span<const Event> events_;
};

}  // namespace stucktrace::model
