#include "tracer/render/annotations.h"

#include <fmt/format.h>

#include "tracer/render/escape.h"
#include "tracer/render/finding_place.h"
#include "tracer/render/finding_text.h"
#include "tracer/render/told_finding.h"

namespace stucktrace::render {

std::string github_annotations(const model::Report& report, const Subject& subject) {
  std::string out;
  for (const Told& told : told_findings(report)) {
    // A command counts at a line's start alone, and a program may have left its line open.
    if (out.empty()) out = "\n";
    const model::Finding& finding = *told.finding;
    std::string where;
    if (const auto place = source_place(report, finding, subject)) {
      where = fmt::format("file={},line={},", github_property(place->file), place->line);
    }
    std::string message = verdict_text(told);
    for (const model::ChainLink& link : finding.chain) message += "\n↳ " + link_sentence(link);
    if (!finding.remedy.empty()) {
      message += "\nRemedy: " + terminal_text(finding.remedy, kSentenceLimit);
    }
    out += fmt::format(
        "::{} {}title={}::{}\n", severity_of(told) == Severity::kError ? "error" : "warning", where,
        github_property("stucktrace: " + finding_name(report, finding)), github_message(message));
  }
  return out;
}

std::string gitlab_section(std::string_view name, std::string_view header, std::string_view text,
                           base::Nanoseconds wall) {
  const auto second = std::chrono::floor<std::chrono::seconds>(wall).count();
  return fmt::format(
      "\x1b[0Ksection_start:{0}:{1}\r\x1b[0K{2}\n{3}\x1b[0Ksection_end:{0}:{1}\r\x1b[0K\n", second,
      name, terminal_text(header, kSentenceLimit), text);
}

}  // namespace stucktrace::render
