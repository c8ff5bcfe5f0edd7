#pragma once

#include <cstddef>
#include <string>

#include "tracer/model/verdict.h"

namespace stucktrace::render {

struct TextOptions {
  bool color = false;
  bool verbose = false;     // all evidence, all frames of a chain, everything that was not seen
  bool stacks = false;      // every thread's stack after the findings
  bool native = false;      // ... with the C frames that Python frames stand for
  std::size_t width = 100;  // columns to wrap at; 0 never wraps
};

// The answer for a person: the verdict in one line, the chain, why, the remedy, and what could not
// be seen. Ends with a newline. Everything printed is safe for a terminal.
std::string text_report(const model::Report& report, const TextOptions& options);

}  // namespace stucktrace::render
