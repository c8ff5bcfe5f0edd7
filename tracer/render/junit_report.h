#pragma once

#include <string>

#include "tracer/model/verdict.h"
#include "tracer/render/subject.h"

namespace stucktrace::render {

// The report as JUnit XML, as CI servers read it: one test suite; each finding, also one that was
// over in the end, is a failed test with its story as text; without any, one passed test. What kept
// the trace from its end (Subject::failure) is an error. Names are the same in every run.
std::string junit_report(const model::Report& report, const Subject& subject);

}  // namespace stucktrace::render
