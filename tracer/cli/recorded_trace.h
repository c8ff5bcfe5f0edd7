#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tracer/base/result.h"
#include "tracer/cli/analysis.h"
#include "tracer/model/verdict.h"
#include "tracer/record/reader.h"
#include "tracer/render/trace_writer.h"

namespace stucktrace::cli {

// What a recording says once more: the events to whoever wants them, and the report of a replay.
struct RecordedTrace {
  model::Report report;
  base::Nanoseconds took{};  // from the trace's start to its last event
};

// Reads to the end and diagnoses as the recorded run did, with its settings; `announce` adds
// phrases. Null writers are left out. A recording that is not whole is gone through as far as it
// goes.
base::Result<RecordedTrace> go_through(record::Reader& reader,
                                       const std::vector<std::string>& announce,
                                       const std::vector<render::TraceWriter*>& writers);
// On stderr, if it is not whole; after going through it.
void tell_cut(const record::Reader& reader);

}  // namespace stucktrace::cli
