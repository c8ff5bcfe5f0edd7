#pragma once

#include <string>
#include <vector>

#include "tracer/cli/commands.h"
#include "tracer/cli/options.h"

namespace stucktrace::cli {

struct LaunchOptions {
  // Stop at chosen calls alone where that can be had; otherwise at every call.
  bool seccomp = true;
  bool kill_on_exit = false;
};

// Launches a command under the tracer and follows it to its end: timeline, alerts and summary on
// stderr, the report as JSON where asked. The exit status as in exit_codes.h. Serves run and demo.
int launch_command(const std::vector<std::string>& words, const Settings& settings,
                   const LaunchOptions& launch, const Startup& startup);

}  // namespace stucktrace::cli
