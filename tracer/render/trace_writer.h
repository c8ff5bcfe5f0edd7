#pragma once

#include <functional>
#include <string_view>

#include "tracer/model/event.h"
#include "tracer/model/verdict.h"

namespace stucktrace::render {

// A trace in another program's format, written while its events go by.
class TraceWriter : public model::EventSink {
 public:
  // A finding that came or became more certain, at the point of the trace where that was seen.
  virtual void finding(const model::FindingRecord& record) = 0;
  // The end of the trace: what was held back, and calls still open. Call once, last.
  virtual void close() = 0;
};

// Takes the next bytes of the output.
using ByteSink = std::function<void(std::string_view)>;

}  // namespace stucktrace::render
