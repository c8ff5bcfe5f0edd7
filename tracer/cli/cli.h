#pragma once

namespace stucktrace::cli {

// The whole command line: parses, runs the subcommand, returns the process's exit status
// (see exit_codes.h). Does not throw.
int run(int argc, char** argv);

}  // namespace stucktrace::cli
