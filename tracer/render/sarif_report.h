#pragma once

#include <string>

#include "tracer/model/verdict.h"
#include "tracer/render/subject.h"

namespace stucktrace::render {

// The report as SARIF 2.1.0 (OASIS), as code scanning takes it: one run; a result a finding, with
// the place in the sources where its thread waits, the chain as related locations and the stacks
// that the diagnosis is based on. Ends with a newline.
std::string sarif_report(const model::Report& report, const Subject& subject);

}  // namespace stucktrace::render
