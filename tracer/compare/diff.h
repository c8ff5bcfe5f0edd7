#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "tracer/compare/canonical.h"

namespace stucktrace::compare {

// One place where a thread, a process, a channel or the findings differ.
struct Difference {
  std::string role;                   // section, as in CanonicalTrace
  std::string title;                  // of a process
  std::size_t line = 0;               // of the baseline's file; without one, of its section
  std::vector<std::string> before;    // up to kContext equal lines
  std::vector<std::string> expected;  // in the baseline only
  std::vector<std::string> got;       // in the current trace only
  std::vector<std::string> after;     // up to kContext equal lines
  // The section is in one of the two only.
  bool section_missing = false;
  bool section_added = false;
};

inline constexpr std::size_t kContext = 3;

// Empty when the traces are equal. Sections in the baseline's order, then new ones. Names mean the
// same in both (match.h).
std::vector<Difference> diff(const CanonicalTrace& baseline, const CanonicalTrace& current);

// For people: a sentence per difference, then the lines, "-" expected and "+" got.
std::string to_text(const std::vector<Difference>& differences);

}  // namespace stucktrace::compare
