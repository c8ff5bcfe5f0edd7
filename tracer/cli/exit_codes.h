#pragma once

namespace stucktrace::cli {

// Every exit status of the tool; `run` otherwise exits as the command did. Same list in the man
// page and README.
enum ExitCode : int {
  kExitOk = 0,            // nothing stuck
  kExitStuck = 121,       // explain, attach, run --fail-on: something is stuck
  kExitDiffers = 122,     // compare: the traces differ
  kExitDeadline = 124,    // run: the deadline, or the limit of --idle, was reached
  kExitFailure = 125,     // stucktrace itself failed, or was called wrongly
  kExitCannotRun = 126,   // run: the command was found but cannot be executed
  kExitNotFound = 127,    // run: the command was not found
  kExitSignalBase = 128,  // run: the command was killed by signal N: 128 + N
};

}  // namespace stucktrace::cli
