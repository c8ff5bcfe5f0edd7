#pragma once

#include <optional>

#include "tracer/base/result.h"
#include "tracer/model/event.h"

namespace stucktrace::record {

// Where a recording goes. A failing write never disturbs the trace: recording stops, the first
// error is kept, later events are dropped. Nothing throws or raises a signal by itself; the caller
// ignores SIGPIPE (and SIGXFSZ) if the path may be a pipe or a limited file. One thread at a time.
class Sink : public model::EventSink {
 public:
  // Hands everything up to the last event to the kernel.
  virtual void flush() = 0;
  // Marks the clean end and closes the file; the first error of the whole recording, if any. Later
  // calls of any kind change nothing.
  virtual base::Result<void> finish() = 0;
  // The error that stopped the recording.
  virtual std::optional<base::Error> failure() const = 0;
};

}  // namespace stucktrace::record
