#pragma once

#include <string>

#include "tracer/model/comparison.h"

namespace stucktrace::render {

// The parts of the page about what the run was judged by.

// For its head: the sentence, which leads to the section where there is one. `is_verdict`: it
// stands there already, above.
std::string comparison_head_html(const model::Comparison& comparison, bool is_verdict);
// Differences and assertions that do not hold, an article each; "" where all holds.
std::string comparison_html(const model::Comparison& comparison);

}  // namespace stucktrace::render
