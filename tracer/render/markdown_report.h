#pragma once

#include <string>

#include "tracer/model/verdict.h"
#include "tracer/render/subject.h"

namespace stucktrace::render {

// The report as GitHub's Markdown, for a job summary or a comment: each finding's verdict, its
// chain and what to change, the whole story folded away; one line where nothing is stuck.
std::string markdown_report(const model::Report& report, const Subject& subject);

}  // namespace stucktrace::render
