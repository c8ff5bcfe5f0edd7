#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tracer/base/result.h"
#include "tracer/compare/assertion.h"
#include "tracer/compare/canonical.h"
#include "tracer/compare/rule.h"

namespace stucktrace::compare {

// A text file for people and version control: what a run did, the rules it was made with, and what
// has to hold for every run.
//
//   # stucktrace baseline 1
//   level effects
//   seen all
//   normalise s/build-[0-9]+/build/
//
//   assert
//     never connect
//
//   P1 sh
//     waits for P2
//     exits 0
struct Baseline {
  CanonicalTrace trace;
  std::vector<Rule> rules;
  std::vector<Assertion> assertions;
  std::vector<std::size_t> assertion_lines;  // where they stand
};

std::string to_text(const Baseline& baseline);
// Malformed text is an error that names line and column. Lines that start with # are for people.
base::Result<Baseline> parse_baseline(std::string_view text);
// The text starts as to_text()'s do: a baseline, not a recording.
bool is_baseline(std::string_view start);

}  // namespace stucktrace::compare
