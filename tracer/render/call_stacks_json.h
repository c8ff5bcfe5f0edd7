#pragma once

#include <nlohmann/json_fwd.hpp>

#include "tracer/base/clock.h"
#include "tracer/render/trace_lanes.h"

namespace stucktrace::render {

// The member "call_stacks" of a report: stacks taken at calls of the trace, with times relative to
// the report's. Null where none was taken. Most calls share their stack with others: it is there
// once.
nlohmann::ordered_json call_stacks_json(const TraceLanes& lanes, base::Instant taken_at);

}  // namespace stucktrace::render
