#include "tracer/cli/failure.h"

#include "tracer/base/log.h"
#include "tracer/cli/exit_codes.h"

namespace stucktrace::cli {

int fail(const base::Error& error) {
  base::StderrLog(base::LogLevel::kNormal).say(base::LogLevel::kNormal, error.message());
  return kExitFailure;
}

}  // namespace stucktrace::cli
