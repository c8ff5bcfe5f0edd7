#include "tracer/render/markdown_report.h"

#include <fmt/format.h>

#include "tracer/render/calm.h"
#include "tracer/render/escape.h"
#include "tracer/render/finding_place.h"
#include "tracer/render/finding_text.h"
#include "tracer/render/sight.h"
#include "tracer/render/told_finding.h"

namespace stucktrace::render {
namespace {

constexpr std::size_t kCommandColumns = 200;

void write_finding(const model::Report& report, const Told& told, const Subject& subject,
                   std::string& out) {
  const model::Finding& finding = *told.finding;
  out += fmt::format("#### {} {}\n\n{}\n\n", severity_of(told) == Severity::kError ? "🔴" : "🟡",
                     markdown_code(finding.rule), markdown_text(verdict_text(told)));
  if (const auto place = source_place(report, finding, subject)) {
    out += fmt::format("At {}\n\n", markdown_code(fmt::format("{}:{}", place->file, place->line)));
  }
  std::size_t number = 0;
  for (const model::ChainLink& link : finding.chain) {
    out += fmt::format("{}. {}\n", ++number, markdown_text(link_sentence(link)));
  }
  if (!finding.cycle.empty() && number > 1) {
    out += fmt::format("\n… and {} waits for 1: a cycle.\n", number);
  }
  if (number > 0) out += '\n';
  if (!finding.remedy.empty()) {
    out += fmt::format("**Remedy:** {}\n\n",
                       markdown_text(terminal_text(finding.remedy, kSentenceLimit)));
  }
  out += "<details><summary>The whole story</summary>\n\n" +
         markdown_block(finding_story(report, told)) + "\n</details>\n\n";
}

}  // namespace

std::string markdown_report(const model::Report& report, const Subject& subject) {
  const std::vector<Told> findings = told_findings(report);
  const std::string what = markdown_code(command_text(subject.words, kCommandColumns));
  std::string out = fmt::format("### stucktrace {} {}\n\n", markdown_text(subject.command), what);
  if (!subject.failure.empty()) {
    out += fmt::format("⚠️ The trace did not come to its end: {}\n\n",
                       markdown_text(terminal_text(subject.failure, kSentenceLimit)));
  }
  if (findings.empty()) {
    if (subject.failure.empty()) {
      out += fmt::format("🟢 {}\n\n", markdown_text(calm_sentence(report)));
    }
  }
  for (const Told& told : findings) write_finding(report, told, subject, out);
  const std::vector<std::string> unseen = unseen_sentences(report);
  if (!unseen.empty()) out += "Could not see:\n\n";
  for (const std::string& sentence : unseen) {
    out += fmt::format("- {}\n", markdown_text(terminal_text(sentence, kSentenceLimit)));
  }
  if (!unseen.empty()) out += '\n';
  return out;
}

}  // namespace stucktrace::render
