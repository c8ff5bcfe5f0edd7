#pragma once

#include <cstddef>
#include <string>

#include "tracer/model/call_summary.h"

namespace stucktrace::render {

// What -c prints: calls, processes and descriptors, by wall time, each table cut to `most` rows
// (and says how many were left out).
std::string summary_tables(const model::CallSummary& summary, std::size_t most = 25);

}  // namespace stucktrace::render
