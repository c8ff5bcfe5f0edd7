#pragma once

#include <string_view>

namespace stucktrace::base {

enum class LogLevel : unsigned char { kQuiet, kNormal, kVerbose };

// The tool's own words to the person, on stderr only, one line each. Never an error channel:
// failures are return values. Passed in, never global.
class Log {
 public:
  virtual ~Log() = default;
  virtual void say(LogLevel level, std::string_view line) = 0;
};

// Writes "stucktrace: LINE\n" to descriptor 2 where `level` is at most the threshold.
class StderrLog final : public Log {
 public:
  explicit StderrLog(LogLevel threshold) : threshold_(threshold) {}
  void say(LogLevel level, std::string_view line) override;

 private:
  LogLevel threshold_;
};

}  // namespace stucktrace::base
