#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "syscalls/trace_set.h"
#include "tracer/base/clock.h"
#include "tracer/base/ids.h"
#include "tracer/model/event.h"
#include "tracer/model/verdict.h"

namespace stucktrace::render {

// Takes one finished line, without a newline.
using LineSink = std::function<void(std::string_view)>;

enum class TimelineLevel : std::uint8_t {
  kStory,  // process life, pipes between processes, output, long waits, signals, findings
  kCalls,  // and every call that can block, moves descriptors, makes tasks or writes
  kAll,    // and every other call there is an event for
};

struct TimelineOptions {
  TimelineLevel level = TimelineLevel::kStory;
  // -e trace=SET: at kCalls and kAll exactly these calls.
  std::optional<syscalls::TraceSet> trace;
  bool color = false;
  std::size_t text_limit = 60;  // columns of one quoted string or path
  // The time of day less the monotonic clock: for deadlines that are set by the former.
  std::optional<base::Nanoseconds> wall_offset;
};

// The trace as lines for a person, while it runs or from a recording: the same events give the same
// lines. A call is one line, written when it has ended (or the trace has); the time is when it
// began, so a long wait stands where it ended with the time of its beginning.
class TextTimeline final : public model::EventSink {
 public:
  // `zero` is time 0: the trace's start (TraceHeader::started).
  TextTimeline(TimelineOptions options, base::Instant zero, LineSink sink);
  TextTimeline(TextTimeline&&) noexcept;
  TextTimeline& operator=(TextTimeline&&) noexcept;
  ~TextTimeline() override;

  void on_event(const model::Event& event) override;
  // A finding that came, became more certain, or was resolved, at the point of the trace where
  // that was seen.
  void finding(const model::FindingRecord& record);
  // A remark about no task: "detached on request".
  void note(base::Instant at, std::string_view text);
  // Live views only: time goes by without events. Writes what the next event would have let out
  // first, so that a replay, which never calls it, has the same text.
  void tick(base::Instant now);
  // Ends the timeline: what is held back, then the calls still open, as of the last event. Call
  // once, last.
  void close();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace stucktrace::render
