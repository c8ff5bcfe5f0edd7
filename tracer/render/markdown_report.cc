#include "tracer/render/markdown_report.h"

#include <fmt/format.h>

#include <functional>

#include "tracer/render/calm.h"
#include "tracer/render/comparison_text.h"
#include "tracer/render/cut_short.h"
#include "tracer/render/escape.h"
#include "tracer/render/finding_place.h"
#include "tracer/render/finding_text.h"
#include "tracer/render/sight.h"
#include "tracer/render/told_finding.h"

namespace stucktrace::render {
namespace {

constexpr std::size_t kCommandColumns = 200;

std::string finding_text(const model::Report& report, const Told& told, const Subject& subject) {
  const model::Finding& finding = *told.finding;
  std::string out =
      fmt::format("#### {} {}\n\n{}\n\n", severity_of(told) == Severity::kError ? "🔴" : "🟡",
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
  return out;
}

std::string story_text(std::string_view story) {
  return "<details><summary>The whole story</summary>\n\n" + markdown_block(story) +
         "\n</details>\n\n";
}

std::string mismatch_text(const Mismatch& mismatch) {
  return fmt::format("#### 🔴 {}\n\n{}\n\n{}\n", markdown_code(mismatch.name),
                     markdown_text(mismatch.headline), markdown_block(mismatch.story));
}

// As many as fit.
void write_mismatches(const model::Comparison& comparison,
                      const std::function<bool(std::string_view)>& fits, std::string& out) {
  const std::vector<Mismatch> all = mismatches(comparison);
  std::size_t told_of = 0;
  for (const Mismatch& each : all) {
    const std::string text = mismatch_text(each);
    if (!fits(text)) break;
    ++told_of;
    out += text;
  }
  if (told_of < all.size()) {
    out += fmt::format("… and {} more differences and assertions\n\n", all.size() - told_of);
  }
}

}  // namespace

std::string markdown_report(const model::Report& report, const Subject& subject,
                            std::size_t limit) {
  const std::vector<Told> findings = told_findings(report);
  const std::string what = markdown_code(command_text(subject.words, kCommandColumns));
  std::string out = fmt::format("### stucktrace {} {}\n\n", markdown_text(subject.command), what);
  if (!subject.failure.empty()) {
    out += fmt::format("⚠️ The trace did not come to its end: {}\n\n",
                       markdown_text(terminal_text(subject.failure, kSentenceLimit)));
  }
  const model::Ended* ended = cut_short(report);
  if (ended != nullptr) {
    out += fmt::format("🔴 {}\n\n", markdown_text(ended_sentences(*ended)));
  }
  if (findings.empty() && subject.failure.empty()) {
    out += fmt::format("{}{}\n\n", ended == nullptr ? "🟢 " : "",
                       markdown_text(calm_sentence(report)));
  }
  if (report.comparison) {
    out += fmt::format("{} {}\n\n", report.comparison->passed() ? "🟢" : "🔴",
                       markdown_text(comparison_sentence(*report.comparison)));
  }
  constexpr std::size_t kRest = 200;  // for what tells how much is left out
  const auto fits = [&](std::string_view more) {
    return out.size() + more.size() + kRest <= limit;
  };
  if (ended != nullptr && findings.empty()) {
    const std::string story = story_text(cut_short_story(report));
    if (fits(story)) out += story;
  }
  std::size_t told_of = 0;
  for (const Told& told : findings) {
    const std::string text = finding_text(report, told, subject);
    if (!fits(text)) break;
    ++told_of;
    const std::string story = story_text(finding_story(report, told));
    out += text;
    if (fits(story)) out += story;
  }
  if (told_of < findings.size()) {
    out += fmt::format("… and {} more findings\n\n", findings.size() - told_of);
  }
  if (report.comparison) write_mismatches(*report.comparison, fits, out);
  const std::vector<std::string> unseen = unseen_sentences(report);
  if (!unseen.empty()) out += "Could not see:\n\n";
  std::size_t listed = 0;
  for (const std::string& sentence : unseen) {
    const std::string line =
        fmt::format("- {}\n", markdown_text(terminal_text(sentence, kSentenceLimit)));
    if (!fits(line)) break;
    ++listed;
    out += line;
  }
  if (listed < unseen.size()) out += fmt::format("- … and {} more\n", unseen.size() - listed);
  if (!unseen.empty()) out += '\n';
  return out;
}

}  // namespace stucktrace::render
