#pragma once

#include "tracer/model/verdict.h"
#include "tracer/render/finding_scope.h"
#include "tracer/render/page.h"

namespace stucktrace::render {

// The parts of the text report; each writes itself onto the page.

// The verdict in one sentence, with what is over told as over.
std::string verdict_text(const Told& told);
// Chain, why, who else, remedy, rule: all but the verdict.
void write_finding(const model::Report& report, const Told& told, Page& page);

}  // namespace stucktrace::render
