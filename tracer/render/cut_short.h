#pragma once

#include <string>
#include <vector>

#include "tracer/model/verdict.h"

namespace stucktrace::render {

// A run that was ended before it ended by itself, for formats that count what went wrong: a step
// that was cut short has not passed, whether something was found to be stuck or not.

// By a limit of the time or by who cancelled it; null else, and where the finding that ended it
// tells (--fail-on) or the command had ended (--close-orphans).
const model::Ended* cut_short(const model::Report& report);
// "Ended by stucktrace: the deadline of 20 m has passed (--deadline)."
std::string cut_short_sentence(const model::Ended& ended);
// "4 processes are ended: sh (pid 7), cat (pid 8); no longer traced: gdb (pid 9); by the control
// group alone: sleep (pid 10)." "" where none are known. Of many the first are named.
std::string ended_processes_sentence(const model::Ended& ended);
// Both, in one line.
std::string ended_sentences(const model::Ended& ended);
// "sh (pid 7), cat (pid 8), and 3 more".
std::string process_list(const std::vector<model::EndedProcess>& processes);
// The report as text with the stacks of all threads: what there is to tell where nothing was found.
// "" where findings tell.
std::string cut_short_story(const model::Report& report);

}  // namespace stucktrace::render
