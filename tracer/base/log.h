#pragma once

#include <functional>
#include <string_view>
#include <utility>

namespace stucktrace::base {

enum class LogLevel : unsigned char { kQuiet, kNormal, kVerbose };

// The tool's own words to the person, on stderr only, one line each. Never an error channel:
// failures are return values. Passed in, never global.
class Log {
 public:
  virtual ~Log() = default;
  virtual void say(LogLevel level, std::string_view line) = 0;
};

// Writes "stucktrace: LINE\n" to descriptor 2, or hands it to `write`, where `level` is at most the
// threshold.
class StderrLog final : public Log {
 public:
  using Write = std::function<void(std::string_view)>;
  explicit StderrLog(LogLevel threshold, Write write = {})
      : threshold_(threshold), write_(std::move(write)) {}
  void say(LogLevel level, std::string_view line) override;

 private:
  LogLevel threshold_;
  Write write_;
};

}  // namespace stucktrace::base
