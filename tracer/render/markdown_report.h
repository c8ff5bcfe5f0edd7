#pragma once

#include <cstddef>
#include <string>

#include "tracer/model/verdict.h"
#include "tracer/render/subject.h"

namespace stucktrace::render {

// GitHub shows no summary of more than 1 MiB, whoever wrote what part of it.
inline constexpr std::size_t kSummaryLimit = 1000UL * 1024;

// The report as GitHub's Markdown, for a job summary or a comment: each finding's verdict, its
// chain and what to change, the whole story folded away; one line where nothing is stuck. What does
// not fit into `limit` bytes is left out, and said to be.
std::string markdown_report(const model::Report& report, const Subject& subject,
                            std::size_t limit = kSummaryLimit);

}  // namespace stucktrace::render
