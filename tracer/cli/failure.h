#pragma once

#include "tracer/base/result.h"

namespace stucktrace::cli {

// Says the error on stderr in one line and gives the exit status that fits: always kExitFailure.
int fail(const base::Error& error);

}  // namespace stucktrace::cli
