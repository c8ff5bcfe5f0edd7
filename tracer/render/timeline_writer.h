#pragma once

#include "tracer/render/text_timeline.h"
#include "tracer/render/trace_writer.h"

namespace stucktrace::render {

// The text timeline as one format among others.
class TimelineWriter final : public TraceWriter {
 public:
  TimelineWriter(const TimelineOptions& options, const model::TraceHeader& header, LineSink sink)
      : timeline_(with_clock(options, header), header.started, std::move(sink)) {}

  void on_event(const model::Event& event) override { timeline_.on_event(event); }
  void finding(const model::FindingRecord& record) override { timeline_.finding(record); }
  void close() override { timeline_.close(); }

 private:
  static TimelineOptions with_clock(TimelineOptions options, const model::TraceHeader& header) {
    options.wall_offset = header.started_wall - header.started.since_boot;
    return options;
  }
  TextTimeline timeline_;
};

}  // namespace stucktrace::render
