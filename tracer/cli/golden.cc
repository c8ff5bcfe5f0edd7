#include "tracer/cli/golden.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iterator>

#include "tracer/base/text.h"
#include "tracer/cli/options.h"
#include "tracer/cli/output.h"
#include "tracer/cli/traced_calls.h"
#include "tracer/compare/diff.h"
#include "tracer/compare/match.h"
#include "tracer/engine/launch_filter.h"

namespace stucktrace::cli {

using syscalls::TraceSet;

namespace {

// Whole or not at all: a baseline is never left half-written.
base::Result<void> replace_file(const std::string& path, const std::string& content) {
  const std::string fresh = fmt::format("{}.{}.new", path, ::getpid());
  auto out = Output::create(fresh);
  if (!out) return base::Failure{out.error()};
  out->write(content);
  if (auto written = out->check(); !written) {
    ::unlink(fresh.c_str());
    return written;
  }
  if (std::rename(fresh.c_str(), path.c_str()) != 0) {
    const base::Errno code = base::Errno::last();
    ::unlink(fresh.c_str());
    return base::system_error(fmt::format("cannot replace {}", path), code);
  }
  return {};
}

base::Failure wrong_word(std::string_view option, const std::string& word,
                         const compare::TextError& error) {
  return base::Failure{
      base::usage_error(fmt::format("{} '{}': line 1, column {}: {}", option,
                                    base::escape_text(word, 80), error.column, error.what))
          .error()};
}

// What the filter of a plain run shows whatever the arguments are.
TraceSet filtered_calls() {
  TraceSet set = TraceSet::none();
  const engine::LaunchFilter filter = engine::diagnosis_filter();
  for (const auto& rule : filter.rules) {
    if (rule.conditions.empty() && filter.trace.contains(rule.id)) set.add(rule.id);
  }
  return set;
}

// What has to be seen of a run to know for how long its threads waited.
TraceSet waiting_calls() {
  TraceSet set = TraceSet::none();
  for (const auto& row : syscalls::all_rows(syscalls::kNativeAbi)) {
    if (row.has(syscalls::Trait::kMayBlock)) set.add(row.id);
  }
  return set;
}

// A call of `needed` that `shown` lacks; "" none.
std::string_view missing_call(const TraceSet& needed, const TraceSet& shown) {
  for (const auto& row : syscalls::all_rows(syscalls::kNativeAbi)) {
    if (needed.contains(row.id) && !shown.contains(row.id)) return row.name;
  }
  return {};
}

// What a trace shows.
struct Shown {
  TraceSet always;
  TraceSet sometimes;  // and those
  bool stalls = true;  // whoever waits for long is seen
};

Shown shown_by(const std::optional<model::TracedCalls>& traced, compare::Seen seen) {
  if (traced) {
    Shown shown{fully_shown_calls(*traced), shown_calls(*traced), traced->looked_up};
    shown.stalls = shown.stalls || missing_call(waiting_calls(), shown.always).empty();
    return shown;
  }
  if (seen == compare::Seen::kAll) return {compared_calls(), compared_calls()};
  return {filtered_calls(), engine::diagnosis_filter().trace};
}

// The first thing that an assertion is about and a trace does not show; "" all is shown.
std::string_view missing_for(const compare::Assertion& assertion, const Shown& shown) {
  using Kind = compare::Assertion::Kind;
  const std::string_view call = missing_call(assertion.calls, shown.always);
  if (!call.empty()) return call;
  const bool waits = missing_call(waiting_calls(), shown.always).empty();
  if (assertion.kind == Kind::kMaxBlocked && !waits) return "all calls that wait";
  if (assertion.kind != Kind::kNoFinding) return {};
  if (!shown.stalls) return "all calls that wait";
  // Which finding it is depends on more than that something is stuck.
  const bool known = missing_call(engine::diagnosis_filter().trace, shown.sometimes).empty();
  if (!assertion.rule.empty() && !known) return "all calls that a diagnosis needs";
  return {};
}

constexpr std::string_view kAllCalls =
    "record with \"run --for-compare\", or judge in \"run\" itself with --baseline and --assert";

}  // namespace

void add_golden_options(CLI::App& app, GoldenOptions& options) {
  app.add_flag("--update", options.update,
               "make this run the new baseline; its rules and assertions stay");
  app.add_option("--level", options.level,
                 "what is compared: structure, effects or calls (default: the baseline's, effects)")
      ->check(CLI::IsMember({"structure", "effects", "calls"}));
  app.add_option("--normalise", options.normalise,
                 "s/PATTERN/TEXT/: a further rule for texts that differ in each run; repeatable; "
                 "kept in the baseline")
      ->allow_extra_args(false);
  app.add_option("--assert", options.assertions,
                 "what has to hold: 'never connect', 'opens <= 200', 'max blocked 2s', "
                 "'no finding', 'P2 exits 0'; repeatable")
      ->allow_extra_args(false);
}

TraceSet compared_calls() {
  return default_trace_set();
}

void add_all(TraceSet& set, const TraceSet& more) {
  for (std::size_t id = 0; id < static_cast<std::size_t>(syscalls::Sys::kUnknown); ++id) {
    const auto call = static_cast<syscalls::Sys>(id);
    if (more.contains(call)) set.add(call);
  }
}

base::Result<Golden> Golden::open(const GoldenOptions& options) {
  Golden golden{options};
  if (auto read = golden.read_file(); !read) return base::Failure{read.error()};
  if (auto read = golden.read_words(); !read) return base::Failure{read.error()};
  return golden;
}

base::Result<void> Golden::read_file() {
  const std::string& path = options_.baseline;
  if (path.empty()) {
    if (options_.update)
      return base::usage_error("--update: no baseline to write", "--baseline FILE");
    return {};
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    struct stat about{};
    const bool missing = ::stat(path.c_str(), &about) != 0 && errno == ENOENT;
    if (missing && options_.update) return {};
    const base::Errno code = base::Errno::last();
    if (!missing) return base::system_error(fmt::format("cannot read {}", path), code);
    return base::usage_error(fmt::format("there is no baseline {}", base::escape_text(path)),
                             "write it with --update");
  }
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (!compare::is_baseline(text)) {
    return base::usage_error(
        fmt::format("{} is no baseline", base::escape_text(path)),
        options_.update ? "remove it, or write to another file" : "write one with --update");
  }
  auto baseline = compare::parse_baseline(text);
  if (!baseline) {
    base::Error error = baseline.error();
    error.operation = fmt::format("{}: {}", base::escape_text(path), error.operation);
    return base::Failure{error};
  }
  baseline_ = std::move(*baseline);
  rules_ = baseline_->rules;
  assertions_ = baseline_->assertions;
  lines_ = baseline_->assertion_lines;
  level_ = baseline_->trace.level;
  return {};
}

base::Result<void> Golden::read_words() {
  if (const auto level = compare::level_of(options_.level)) {
    if (baseline_ && *level != level_ && !options_.update) {
      return base::usage_error(fmt::format("--level {}: {} is of the level {}", options_.level,
                                           base::escape_text(options_.baseline), to_string(level_)),
                               "change it with --update");
    }
    level_ = *level;
  }
  for (const std::string& word : options_.normalise) {
    auto rule = compare::parse_rule(word);
    if (!rule) return wrong_word("--normalise", word, rule.error());
    const bool known = std::ranges::any_of(rules_, [&](const auto& r) { return r.text == word; });
    if (known) continue;
    if (baseline_ && !options_.update) {
      return base::usage_error(
          fmt::format("--normalise '{}': {} was made without this rule",
                      base::escape_text(word, 80), base::escape_text(options_.baseline)),
          "add it with --update");
    }
    rules_.push_back(std::move(*rule));
  }
  for (const std::string& word : options_.assertions) {
    auto assertion = compare::parse_assertion(word);
    if (!assertion) return wrong_word("--assert", word, assertion.error());
    const bool known =
        std::ranges::any_of(assertions_, [&](const auto& a) { return a.text == assertion->text; });
    if (!known) assertions_.push_back(std::move(*assertion));
  }
  for (const auto& assertion : assertions_) add_all(calls_, assertion.calls);
  return {};
}

compare::Options Golden::comparison(const GoldenRun& run) const {
  compare::Options options;
  for (const auto& rule : rules_) options.normalise.push_back(rule.substitution);
  options.level = level_;
  if (run.traced) {
    const bool all = missing_call(compared_calls(), fully_shown_calls(*run.traced)).empty();
    options.seen = all ? compare::Seen::kAll : compare::Seen::kFiltered;
  }
  return options;
}

base::Result<void> Golden::use_as_baseline(const GoldenRun& run) {
  if (auto fine = check_comparable(run); !fine) return fine;
  auto recorded = compare::canonicalise(run.survey, run.events, run.findings, comparison(run));
  if (!recorded) return base::Failure{recorded.error()};
  baseline_.emplace();
  baseline_->trace = std::move(recorded->trace);
  return {};
}

// What a plain run shows is the least that two runs have in common.
base::Result<void> Golden::check_comparable(const GoldenRun& run) {
  if (!run.traced) return {};
  const auto missing = missing_call(engine::diagnosis_filter().trace, shown_calls(*run.traced));
  if (missing.empty()) return {};
  return base::usage_error(
      fmt::format("{} cannot be compared: it does not show {}", run.name, missing),
      std::string{kAllCalls});
}

base::Result<void> Golden::check_judgeable(const GoldenRun& run, compare::Seen seen) const {
  const Shown shown = shown_by(run.traced, seen);
  for (const auto& assertion : assertions_) {
    const std::string_view missing = missing_for(assertion, shown);
    if (missing.empty()) continue;
    return base::usage_error(fmt::format("\"{}\" cannot be judged: {} does not show {}",
                                         assertion.text, run.name, missing),
                             std::string{kAllCalls});
  }
  return {};
}

base::Result<Golden::Outcome> Golden::judge(const GoldenRun& run) const {
  auto current = compare::canonicalise(run.survey, run.events, run.findings, comparison(run));
  if (!current) return base::Failure{current.error()};
  if (auto fine = check_judgeable(run, current->trace.seen); !fine) {
    return base::Failure{fine.error()};
  }
  if (baseline_ || options_.update) {
    if (auto fine = check_comparable(run); !fine) return base::Failure{fine.error()};
  }
  Outcome outcome;
  outcome.comparison.baseline = options_.baseline;
  outcome.comparison.recording = run.recording;
  if (baseline_) {
    // Kept assertions are about the processes of the baseline, under their names there.
    const auto names = compare::match(baseline_->trace, current->trace);
    current->trace = renamed(current->trace, names, baseline_->trace);
    current->roles = renamed(std::move(current->roles), names);
  }
  if (options_.update) {
    auto message = update(current->trace);
    if (!message) return base::Failure{message.error()};
    outcome.message = *message;
    outcome.comparison.updated = true;
  } else if (baseline_) {
    auto differences = differences_of(current->trace, run.name);
    if (!differences) return base::Failure{differences.error()};
    outcome.comparison.differences = std::move(*differences);
  }
  auto checks = check_assertions(run, current->roles);
  if (!checks) return base::Failure{checks.error()};
  outcome.comparison.assertions = std::move(*checks);
  return outcome;
}

base::Result<std::vector<model::Difference>> Golden::differences_of(
    const compare::CanonicalTrace& current, const std::string& name) const {
  if (baseline_->trace.seen == current.seen) return compare::diff(baseline_->trace, current);
  const bool filtered = current.seen == compare::Seen::kFiltered;
  return base::usage_error(
      fmt::format("{} shows {} calls than the baseline", name, filtered ? "fewer" : "more"),
      filtered ? std::string{kAllCalls} : "make the baseline anew with --update");
}

base::Result<std::vector<model::AssertionCheck>> Golden::check_assertions(
    const GoldenRun& run, const compare::RoleTable& roles) const {
  const auto failures =
      compare::check_assertions(assertions_, run.events, run.findings, roles, run.start);
  if (!failures) return base::Failure{failures.error()};
  std::vector<model::AssertionCheck> checks;
  for (std::size_t i = 0; i < assertions_.size(); ++i) {
    model::AssertionCheck check;
    check.text = assertions_[i].text;
    check.line = i < lines_.size() ? lines_[i] : 0;
    const auto failure = std::ranges::find_if(
        *failures, [&](const auto& each) { return each.assertion.text == assertions_[i].text; });
    if (failure != failures->end()) {
      check.holds = false;
      check.seen = failure->seen;
      check.place = failure->place;
      check.show = failure->show;
    }
    checks.push_back(std::move(check));
  }
  return checks;
}

base::Result<std::string> Golden::update(const compare::CanonicalTrace& current) const {
  compare::Baseline fresh;
  fresh.trace = current;
  fresh.rules = rules_;
  fresh.assertions = assertions_;
  std::string_view what = "is the new baseline";
  if (baseline_ && baseline_->trace.level == current.level &&
      baseline_->trace.seen == current.seen && baseline_->rules.size() == rules_.size()) {
    // Nothing to review: the file stays as it was.
    if (compare::diff(baseline_->trace, current).empty()) {
      fresh.trace = baseline_->trace;
      if (baseline_->assertions.size() == assertions_.size()) {
        return fmt::format("{} holds as it is", options_.baseline);
      }
      what = "has new assertions";
    }
  }
  if (auto done = replace_file(options_.baseline, compare::to_text(fresh)); !done) {
    return base::Failure{done.error()};
  }
  return fmt::format("{} {}", options_.baseline, what);
}

}  // namespace stucktrace::cli
