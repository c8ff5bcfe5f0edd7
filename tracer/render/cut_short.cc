#include "tracer/render/cut_short.h"

#include <fmt/format.h>

#include "tracer/render/escape.h"
#include "tracer/render/finding_scope.h"
#include "tracer/render/finding_text.h"
#include "tracer/render/text_report.h"

namespace stucktrace::render {

const model::Ended* cut_short(const model::Report& report) {
  if (!report.ended) return nullptr;
  const std::string& because = report.ended->because;
  return because == "fail-on" || because == "orphans" ? nullptr : &*report.ended;
}

std::string cut_short_sentence(const model::Ended& ended) {
  return fmt::format("Ended by stucktrace: {}.", terminal_text(ended.words, kSentenceLimit));
}

std::string cut_short_story(const model::Report& report) {
  return told_findings(report).empty() ? text_report(report, {.stacks = true}) : "";
}

}  // namespace stucktrace::render
