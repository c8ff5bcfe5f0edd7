#pragma once

#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "tracer/base/clock.h"
#include "tracer/base/log.h"
#include "tracer/base/unique_fd.h"
#include "tracer/engine/tracer.h"
#include "tracer/model/event.h"

namespace stucktrace::test {

// How a tracee comes under the engine; every live suite runs over all of them.
// kSeccomp and kSeccompTraceme launch under a filter that stops at every call, kDiagnosis under the
// one of a plain run.
enum class Mode { kLaunch, kLaunchTraceme, kSeize, kAttach, kSeccomp, kSeccompTraceme, kDiagnosis };
const char* name_of(Mode mode);
inline bool is_filtered(Mode mode) {
  return mode == Mode::kSeccomp || mode == Mode::kSeccompTraceme || mode == Mode::kDiagnosis;
}
// Those in which every call is an event.
inline constexpr Mode kAllModes[] = {Mode::kLaunch, Mode::kLaunchTraceme, Mode::kSeize,
                                     Mode::kAttach, Mode::kSeccomp};
// For suites that ask of a program only that it cannot tell.
inline constexpr Mode kTransparentModes[] = {
    Mode::kLaunch,  Mode::kLaunchTraceme,  Mode::kSeize,    Mode::kAttach,
    Mode::kSeccomp, Mode::kSeccompTraceme, Mode::kDiagnosis};

class Collector final : public model::EventSink {
 public:
  void on_event(const model::Event& event) override { events.push_back(event); }
  template <class T>
  std::vector<model::Event> all() const {
    std::vector<model::Event> found;
    for (const model::Event& event : events) {
      if (std::holds_alternative<T>(event.data)) found.push_back(event);
    }
    return found;
  }
  std::vector<model::Event> events;
};

class NoLog final : public base::Log {
 public:
  void say(base::LogLevel, std::string_view line) override { lines.emplace_back(line); }
  std::vector<std::string> lines;
};

// Ends a run when a condition holds, or at a deadline so that a broken engine fails instead of
// hanging the suite.
class Until final : public engine::TickObserver {
 public:
  explicit Until(std::function<bool()> done = [] { return false; });
  engine::Directive on_tick(base::Instant now) override;
  bool timed_out = false;

 private:
  std::function<bool()> done_;
  base::Instant deadline_;
};

// A target program (target/README.md) as an ordinary child of the test, in a process group of its
// own, killed at the end of the scope.
class Target {
 public:
  explicit Target(std::vector<std::string> words);
  ~Target();
  Target(const Target&) = delete;
  Target& operator=(const Target&) = delete;

  base::Pid pid() const { return pid_; }
  bool wait_ready();  // its "ready" line
  void go();          // the byte it waits for
  void close_stdin() { stdin_.reset(); }
  const std::string& said() const { return seen_; }  // stdout so far
  std::string read_to_end();                         // stdout
  int wait();                                        // raw wait status
  void forget() { pid_ = base::Pid{}; }              // the engine has reaped it

 private:
  base::Pid pid_;
  base::UniqueFd stdin_;
  base::UniqueFd stdout_;
  std::string seen_;
};

// A program's path in the build tree's target folder.
std::string target_path(const std::string& name);
// What the target prints and how it ends without a tracer.
struct RunResult {
  std::string output;
  int status = -1;  // raw wait status; of the engine: built from the root's exit event
};
RunResult run_native(const std::vector<std::string>& words);
struct TracedRun : RunResult {
  Collector events;
  NoLog log;
  bool timed_out = false;
};
TracedRun run_traced(const std::vector<std::string>& words, Mode mode,
                     syscalls::Payload payload = syscalls::Payload::kText);
// `options` but for the style; the filtered modes bring a filter of every call where they have
// none.
TracedRun run_traced(const std::vector<std::string>& words, Mode mode,
                     engine::TracerOptions options);

// Field of /proc/PID/status, "" if gone.
std::string status_field(base::Pid pid, const std::string& field);
// Polls a condition with a deadline of ten seconds.
bool eventually(const std::function<bool()>& condition);

}  // namespace stucktrace::test
