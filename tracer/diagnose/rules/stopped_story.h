#pragma once

#include <vector>

#include "tracer/diagnose/story.h"

namespace stucktrace::diagnose::rules {

// Somebody waits, and everyone who could end that wait is stopped by a signal.
struct StoppedWait {
  NodeIndex waiter = 0;
  std::vector<NodeIndex> stopped;           // sorted, at least one
  const model::Process* process = nullptr;  // of the first stopped one
  bool wants_terminal = false;  // stopped while using a terminal it is in the background of
};

// At most one per stopped process.
std::vector<StoppedWait> stopped_waits(const RuleContext& context);

Draft stopped_draft(const RuleContext& context, std::string_view rule, const StoppedWait& wait);

}  // namespace stucktrace::diagnose::rules
