#pragma once

#include <string>

#include "tracer/model/verdict.h"
#include "tracer/render/trace_lanes.h"

namespace stucktrace::render {

// The report by the schema "stucktrace.report/1" (report.schema.json), one line without a newline,
// keys in the schema's order. Invalid UTF-8 is replaced; text is otherwise raw, not escaped for
// terminals. With the lanes of the trace it has the stacks that were taken at calls, if there are
// any.
std::string json_report(const model::Report& report, const TraceLanes* lanes = nullptr);

}  // namespace stucktrace::render
