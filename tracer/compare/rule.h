#pragma once

#include <string>
#include <string_view>

#include "tracer/compare/normalise.h"
#include "tracer/compare/scanner.h"

namespace stucktrace::compare {

// A normalisation rule as sed writes it: s/PATTERN/REPLACEMENT/ with any character in place of "/",
// \1 and & in the replacement; every match is replaced. PATTERN is an ECMAScript expression.
struct Rule {
  std::string text;
  Substitution substitution;
};
Parsed<Rule> parse_rule(std::string_view text);

}  // namespace stucktrace::compare
