#pragma once

#include <string>

#include "tracer/model/verdict.h"
#include "tracer/render/subject.h"
#include "tracer/render/trace_lanes.h"

namespace stucktrace::render {

// The report as one page that needs nothing else: no network, no file beside it. Verdict and
// stories stand in it as text; the wait-for graph and the timeline are drawn by its script. `lanes`
// are null where there was no trace: the timeline then shows the waits of the last look. The page
// itself is in render/html/.
std::string html_report(const model::Report& report, const Subject& subject,
                        const TraceLanes* lanes);

}  // namespace stucktrace::render
