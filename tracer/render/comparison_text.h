#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "tracer/model/comparison.h"

namespace stucktrace::render {

// What a run was judged by, for formats that count what went wrong. All safe for a terminal.

// One difference, or one assertion that does not hold, told alike in each format.
struct Mismatch {
  std::string_view rule;  // kDifferenceRule, kAssertionRule
  // "baseline: P3 (sort)", "assert: never connect": unique, and the same in every such run.
  std::string name;
  std::string headline;  // one sentence
  std::string story;     // that, the lines or what was seen, where, how to replay it; lines
  std::string replay;
  std::size_t line = 0;                              // of the baseline's file; 0 none
  const model::AssertionCheck* assertion = nullptr;  // null of a difference
  const model::Difference* difference = nullptr;     // null of an assertion
};
inline constexpr std::string_view kDifferenceRule = "baseline-difference";
inline constexpr std::string_view kAssertionRule = "assertion-failed";

// In the order they were found; they point into `comparison`.
std::vector<Mismatch> mismatches(const model::Comparison& comparison);
// "assert: never connect", also of one that holds.
std::string assertion_name(const model::AssertionCheck& assertion);

// "Differs from build.golden in 2 places; 1 of 3 assertions does not hold." What could not be
// judged says why.
std::string comparison_sentence(const model::Comparison& comparison);

}  // namespace stucktrace::render
