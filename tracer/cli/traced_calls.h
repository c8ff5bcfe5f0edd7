#pragma once

#include "syscalls/trace_set.h"
#include "tracer/engine/options.h"
#include "tracer/model/event.h"

namespace stucktrace::cli {

// What a trace with these options can show.
model::TracedCalls traced_calls(const engine::TracerOptions& options);

// The calls a trace shows at least sometimes, and those it always shows.
syscalls::TraceSet shown_calls(const model::TracedCalls& traced);
syscalls::TraceSet fully_shown_calls(const model::TracedCalls& traced);

}  // namespace stucktrace::cli
