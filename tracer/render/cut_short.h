#pragma once

#include <string>

#include "tracer/model/verdict.h"

namespace stucktrace::render {

// A run that was ended before it ended by itself, for formats that count what went wrong: a step
// that was cut short has not passed, whether something was found to be stuck or not.

// By a limit of the time or by who cancelled it; null else, and where the finding that ended it
// tells (--fail-on) or the command had ended (--close-orphans).
const model::Ended* cut_short(const model::Report& report);
// "Ended by stucktrace: the deadline of 20 m has passed (--deadline)."
std::string cut_short_sentence(const model::Ended& ended);
// The report as text with the stacks of all threads: what there is to tell where nothing was found.
// "" where findings tell.
std::string cut_short_story(const model::Report& report);

}  // namespace stucktrace::render
