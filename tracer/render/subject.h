#pragma once

#include <string>
#include <vector>

#include "tracer/base/clock.h"

namespace stucktrace::render {

// What a report is about, for files that are read without the command line beside them. Raw text.
struct Subject {
  std::string command;             // "run", "attach", "explain", "replay"
  std::vector<std::string> words;  // the traced command, or the pids
  base::Nanoseconds took{};        // from the trace's start to its last event
  std::string failure;             // why the trace did not come to its end; "" where it did
  // The directory the sources are in: places in them are told relative to it. "" none.
  std::string source_root;
};

}  // namespace stucktrace::render
