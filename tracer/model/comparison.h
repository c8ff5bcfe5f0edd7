#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "tracer/base/clock.h"

namespace stucktrace::model {

// What a run was judged by: its baseline and assertions. All texts are safe for a terminal, but for
// paths.

// One place where a thread, a process, a channel or the findings differ.
struct Difference {
  std::string role;                   // section of the baseline: "P2", "P2.T1 calls", "pipe#1"
  std::string title;                  // of a process
  std::size_t line = 0;               // of the baseline's file; without one, of its section
  std::vector<std::string> before;    // some equal lines
  std::vector<std::string> expected;  // in the baseline only
  std::vector<std::string> got;       // in the current trace only
  std::vector<std::string> after;     // some equal lines
  // The section is in one of the two only.
  bool section_missing = false;
  bool section_added = false;
};

// Where in the timeline something stands.
struct TimelinePlace {
  base::Nanoseconds at{};  // since the start
  std::string role;
  std::string call;
};

struct AssertionCheck {
  std::string text;
  std::size_t line = 0;  // of the baseline's file; 0: it is not from there
  bool holds = true;
  // Where it does not:
  std::string seen;
  std::optional<TimelinePlace> place;
  std::string show;  // what to show of a replay, as -e trace= takes it; "" everything
};

struct Comparison {
  std::string baseline;   // its path; "" none
  bool updated = false;   // the run has become the baseline, and was compared with none
  std::string recording;  // its path; "" the run was not recorded
  std::vector<Difference> differences;
  std::vector<AssertionCheck> assertions;
  std::string failure;  // why the run could not be judged; "" it could

  std::size_t failed_assertions() const;
  bool passed() const { return differences.empty() && failed_assertions() == 0 && failure.empty(); }
};

// "P3 (sort)".
std::string who(const Difference& difference);
// "P3 (sort) lacks something after "exits 0" (line 27)".
std::string headline(const Difference& difference);
// That, then the lines: "-" expected and "+" got; the first of many.
std::string to_text(const Difference& difference);
// "does not hold: opens <= 2 (build.golden, line 9)", then what was seen, where, and replay().
std::string to_text(const AssertionCheck& assertion, const Comparison& comparison);
// For people: all differences and all assertions that do not hold. "" where it passed.
std::string to_text(const Comparison& comparison);

// The command that shows it again.
std::string replay(const Difference& difference, const Comparison& comparison);
std::string replay(const AssertionCheck& assertion, const Comparison& comparison);

}  // namespace stucktrace::model
