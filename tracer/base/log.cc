#include "tracer/base/log.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>

namespace stucktrace::base {

void StderrLog::say(LogLevel level, std::string_view line) {
  if (level > threshold_ || threshold_ == LogLevel::kQuiet) return;
  const std::string text = fmt::format("stucktrace: {}\n", line);
  if (write_) return write_(text);
  std::string_view rest = text;
  while (!rest.empty()) {
    const ssize_t written = ::write(STDERR_FILENO, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;  // nobody left to tell
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace stucktrace::base
