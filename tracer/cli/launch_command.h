#pragma once

#include <string>
#include <vector>

#include "tracer/cli/commands.h"
#include "tracer/cli/golden.h"
#include "tracer/cli/options.h"
#include "tracer/cli/run_limits.h"

namespace stucktrace::cli {

struct LaunchOptions {
  // Stop at chosen calls alone where that can be had; otherwise at every call.
  bool seccomp = true;
  bool kill_on_exit = false;
  RunLimits limits{};
  // Trace all of Settings' calls, not only what a diagnosis needs: the run is to be compared.
  bool compared = false;
  // What the run is judged by at its end; Settings::keep_events is then set.
  const Golden* golden = nullptr;
};

// Launches a command under the tracer and follows it to its end: timeline, alerts and summary on
// stderr, the report as JSON where asked. The exit status as in exit_codes.h. Serves run and demo.
int launch_command(const std::vector<std::string>& words, const Settings& settings,
                   const LaunchOptions& launch, const Startup& startup);

}  // namespace stucktrace::cli
