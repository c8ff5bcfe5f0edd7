#pragma once

#include <optional>
#include <string>

#include "tracer/base/log.h"
#include "tracer/cli/options.h"
#include "tracer/engine/launch_filter.h"

namespace stucktrace::cli {

struct FilterWish {
  bool allowed = true;  // --no-seccomp
  // All of Settings' calls, not only what a diagnosis needs.
  bool all_traced_calls = false;
};

// The filter to launch `program` (a path) with; nullopt where stopping at every call is cheaper, or
// the program would not do the same under a filter, which is told.
std::optional<engine::LaunchFilter> choose_filter(const std::string& program,
                                                  const Settings& settings, FilterWish wish,
                                                  base::Log& log);

}  // namespace stucktrace::cli
