#pragma once

#include <optional>
#include <string>
#include <vector>

#include "syscalls/trace_set.h"
#include "tracer/base/clock.h"
#include "tracer/base/result.h"
#include "tracer/compare/baseline.h"
#include "tracer/model/comparison.h"
#include "tracer/model/event_source.h"
#include "tracer/model/verdict.h"

namespace CLI {
class App;
}

namespace stucktrace::cli {

// Words on the command line of compare and run.
struct GoldenOptions {
  std::string baseline;  // "" none
  bool update = false;
  std::string level;  // "" the baseline's
  std::vector<std::string> normalise;
  std::vector<std::string> assertions;
  bool asks() const { return !baseline.empty() || !assertions.empty(); }
};
// --update --level --normalise --assert
void add_golden_options(CLI::App& app, GoldenOptions& options);

// A run to be judged; what it refers to must outlive it.
struct GoldenRun {
  const compare::Survey& survey;  // of the events
  const model::EventSource& events;
  std::vector<model::FindingRecord> findings;
  base::Instant start;
  std::string name;       // in messages
  std::string recording;  // its path; "" it was not recorded
  // nullopt: an older recording, that can only be judged by how it looks.
  std::optional<model::TracedCalls> traced;
};

// Compares runs with a baseline and judges them by assertions. The baseline is a text file, or a
// recording given as one.
class Golden {
 public:
  // Reads and checks all that can be wrong before there is a run.
  static base::Result<Golden> open(const GoldenOptions& options);
  // A recording in place of the baseline.
  base::Result<void> use_as_baseline(const GoldenRun& run);

  const std::string& path() const { return options_.baseline; }  // "" none
  // Calls that the assertions ask about.
  const syscalls::TraceSet& calls() const { return calls_; }
  struct Outcome {
    model::Comparison comparison;
    std::string message;  // of an update
  };
  base::Result<Outcome> judge(const GoldenRun& run) const;

 private:
  explicit Golden(GoldenOptions options) : options_(std::move(options)) {}
  base::Result<void> read_file();
  base::Result<void> read_words();
  compare::Options comparison(const GoldenRun& run) const;
  static base::Result<void> check_comparable(const GoldenRun& run);
  base::Result<void> check_judgeable(const GoldenRun& run, compare::Seen seen) const;
  base::Result<std::string> update(const compare::CanonicalTrace& current) const;
  base::Result<std::vector<model::Difference>> differences_of(
      const compare::CanonicalTrace& current, const std::string& name) const;
  base::Result<std::vector<model::AssertionCheck>> check_assertions(
      const GoldenRun& run, const compare::RoleTable& roles) const;

  GoldenOptions options_;
  std::optional<compare::Baseline> baseline_;
  std::vector<compare::Rule> rules_;            // the file's, then the command line's
  std::vector<compare::Assertion> assertions_;  // likewise
  std::vector<std::size_t> lines_;              // of assertions in the file
  compare::Level level_ = compare::Level::kEffects;
  syscalls::TraceSet calls_ = syscalls::TraceSet::none();
};

// What a run that is to be compared traces.
syscalls::TraceSet compared_calls();
void add_all(syscalls::TraceSet& set, const syscalls::TraceSet& more);

}  // namespace stucktrace::cli
