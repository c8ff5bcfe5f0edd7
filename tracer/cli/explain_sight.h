#pragma once

#include "tracer/model/verdict.h"

namespace stucktrace::cli {

// Adds to the report what this caller cannot see for where and who he is (a pid namespace, hidden
// processes), and for everything that was refused in `seen` the cause and the way to get at it.
// Looks at /proc again, and only where something is missing.
void add_sight(model::Report& report, const model::Snapshot& seen);

}  // namespace stucktrace::cli
