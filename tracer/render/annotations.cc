#include "tracer/render/annotations.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "tracer/base/text.h"
#include "tracer/render/comparison_text.h"
#include "tracer/render/cut_short.h"
#include "tracer/render/escape.h"
#include "tracer/render/finding_place.h"
#include "tracer/render/finding_text.h"
#include "tracer/render/told_finding.h"

namespace stucktrace::render {

namespace {
constexpr std::size_t kLinksShown = 20;      // the report and the job's summary have them all
constexpr std::size_t kMismatchesShown = 9;  // GitHub shows ten marks of a step

std::string place_property(const std::optional<SourcePlace>& place) {
  if (!place) return "";
  return fmt::format("file={},line={},", github_property(place->file), place->line);
}

std::string comparison_annotations(const model::Comparison& comparison, const Subject& subject) {
  std::string out;
  if (!comparison.failure.empty()) {
    out += fmt::format("::error title={}::{}\n", github_property("stucktrace: comparison"),
                       github_message(comparison_sentence(comparison)));
  }
  const std::vector<Mismatch> all = mismatches(comparison);
  for (std::size_t i = 0; i < std::min(all.size(), kMismatchesShown); ++i) {
    const auto place = baseline_place(comparison, all[i].line, subject);
    out += fmt::format("::error {}title={}::{}\n", all[i].line > 0 ? place_property(place) : "",
                       github_property("stucktrace: " + all[i].name),
                       github_message(base::trim(all[i].story)));
  }
  if (all.size() > kMismatchesShown) {
    out +=
        fmt::format("::error title={}::{}\n", github_property("stucktrace: comparison"),
                    github_message(fmt::format("… and {} more. {}", all.size() - kMismatchesShown,
                                               comparison_sentence(comparison))));
  }
  return out;
}
}  // namespace

std::string github_annotations(const model::Report& report, const Subject& subject) {
  const std::vector<Told> findings = told_findings(report);
  const model::Ended* ended = cut_short(report);
  const bool differs = report.comparison && !report.comparison->passed();
  if (findings.empty() && ended == nullptr && !differs) return "";
  // A command counts at a line's start alone, and a program may have left its line open.
  std::string out = "\n";
  if (ended != nullptr) {
    out += fmt::format("::error title={}::{}\n", github_property("stucktrace: " + ended->because),
                       github_message(cut_short_sentence(*ended)));
  }
  for (const Told& told : findings) {
    const model::Finding& finding = *told.finding;
    const std::string where = place_property(source_place(report, finding, subject));
    std::string message = verdict_text(told);
    for (std::size_t i = 0; i < std::min(finding.chain.size(), kLinksShown); ++i) {
      message += "\n↳ " + link_sentence(finding.chain[i]);
    }
    if (finding.chain.size() > kLinksShown) {
      message += fmt::format("\n… and {} more", finding.chain.size() - kLinksShown);
    }
    if (!finding.remedy.empty()) {
      message += "\nRemedy: " + terminal_text(finding.remedy, kSentenceLimit);
    }
    out += fmt::format(
        "::{} {}title={}::{}\n", severity_of(told) == Severity::kError ? "error" : "warning", where,
        github_property("stucktrace: " + finding_name(report, finding)), github_message(message));
  }
  if (differs) out += comparison_annotations(*report.comparison, subject);
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
