#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "tracer/compare/canonical.h"
#include "tracer/model/comparison.h"

namespace stucktrace::compare {

using model::Difference;

// Equal lines before and after, at most.
inline constexpr std::size_t kContext = 3;

// Empty when the traces are equal. Sections in the baseline's order, then new ones. Names mean the
// same in both (match.h).
std::vector<Difference> diff(const CanonicalTrace& baseline, const CanonicalTrace& current);

// For people: a sentence per difference, then the lines, "-" expected and "+" got.
std::string to_text(const std::vector<Difference>& differences);

}  // namespace stucktrace::compare
