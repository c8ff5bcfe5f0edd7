#pragma once

#include <string>

#include "tracer/model/task_tree.h"
#include "tracer/render/trace_writer.h"

namespace stucktrace::render {

// NDJSON: an object a line. First the trace itself ("type":"trace", with the schema's name), then
// each event as it was recorded, with arguments decoded; findings where they were seen; at last
// "type":"end" with the number of events. "at_ns" counts from the trace's start.
class EventLines final : public TraceWriter {
 public:
  EventLines(const model::TraceHeader& header, ByteSink sink);

  void on_event(const model::Event& event) override;
  void finding(const model::FindingRecord& record) override;
  void close() override;

 private:
  base::Instant zero_;
  base::Instant last_;
  std::uint64_t events_ = 0;
  ByteSink sink_;
  model::TaskTree tasks_;
};

}  // namespace stucktrace::render
