#include "tracer/render/comparison_text.h"

#include <fmt/format.h>

#include <map>
#include <utility>

#include "tracer/render/escape.h"
#include "tracer/render/finding_text.h"

namespace stucktrace::render {
namespace {

Mismatch of_difference(const model::Difference& difference, const model::Comparison& comparison) {
  Mismatch out;
  out.rule = kDifferenceRule;
  out.name = "baseline: " + who(difference);
  out.headline = headline(difference);
  out.replay = replay(difference, comparison);
  out.story = fmt::format("{}  in      {}\n  replay  {}\n", to_text(difference),
                          terminal_text(comparison.baseline, kSentenceLimit), out.replay);
  out.line = difference.line;
  out.difference = &difference;
  return out;
}

Mismatch of_assertion(const model::AssertionCheck& assertion, const model::Comparison& comparison) {
  Mismatch out;
  out.rule = kAssertionRule;
  out.name = assertion_name(assertion);
  out.headline = fmt::format("does not hold: {}; seen: {}", assertion.text, assertion.seen);
  out.replay = replay(assertion, comparison);
  out.story = to_text(assertion, comparison);
  out.line = assertion.line;
  out.assertion = &assertion;
  return out;
}

std::string judged_by_baseline(const model::Comparison& comparison) {
  const std::string baseline = terminal_text(comparison.baseline, kSentenceLimit);
  const std::size_t places = comparison.differences.size();
  if (comparison.updated) return fmt::format("Is what {} holds now", baseline);
  if (places == 0) return "Does not differ from " + baseline;
  return fmt::format("Differs from {} in {} {}", baseline, places,
                     places == 1 ? "place" : "places");
}

std::string judged_by_assertions(const model::Comparison& comparison) {
  const std::size_t all = comparison.assertions.size();
  const std::size_t failed = comparison.failed_assertions();
  const char* noun = all == 1 ? "assertion" : "assertions";
  if (failed == 0) return fmt::format("{} {} {}", all, noun, all == 1 ? "holds" : "hold");
  return fmt::format("{} of {} {} {} not hold", failed, all, noun, failed == 1 ? "does" : "do");
}

}  // namespace

std::vector<Mismatch> mismatches(const model::Comparison& comparison) {
  std::vector<Mismatch> all;
  for (const model::Difference& difference : comparison.differences) {
    all.push_back(of_difference(difference, comparison));
  }
  for (const model::AssertionCheck& assertion : comparison.assertions) {
    if (!assertion.holds) all.push_back(of_assertion(assertion, comparison));
  }
  std::map<std::string, int> names;
  for (Mismatch& each : all) {
    const int copies = ++names[each.name];
    if (copies > 1) each.name += fmt::format(" ({})", copies);
  }
  return all;
}

std::string assertion_name(const model::AssertionCheck& assertion) {
  return "assert: " + assertion.text;
}

std::string comparison_sentence(const model::Comparison& comparison) {
  if (!comparison.failure.empty()) {
    return "Could not be judged: " + terminal_text(comparison.failure, kSentenceLimit) + ".";
  }
  const std::string first = comparison.baseline.empty() ? "" : judged_by_baseline(comparison);
  const std::string then = comparison.assertions.empty() ? "" : judged_by_assertions(comparison);
  return fmt::format("{}{}{}.", first, first.empty() || then.empty() ? "" : "; ", then);
}

}  // namespace stucktrace::render
