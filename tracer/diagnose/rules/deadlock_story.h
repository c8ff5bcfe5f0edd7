#pragma once

#include <string_view>

#include "tracer/diagnose/story.h"

namespace stucktrace::diagnose::rules {

// The story of a circle that no special rule knows: who waits for whom, all the way round.
Draft circle_draft(const RuleContext& context, std::string_view rule, const Case& found);

}  // namespace stucktrace::diagnose::rules
