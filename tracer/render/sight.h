#pragma once

#include <string>
#include <vector>

#include "tracer/model/verdict.h"

namespace stucktrace::render {

// Everything that could not be seen, grouped: one sentence a reason, with the processes counted and
// some of them named. Raw text, escape before printing. Sorted: the same report, the same lines.
std::vector<std::string> unseen_sentences(const model::Report& report);

}  // namespace stucktrace::render
