#include "tracer/render/finding_text.h"

#include <fmt/format.h>

#include "tracer/base/text.h"
#include "tracer/render/escape.h"

namespace stucktrace::render {
std::string certainty_words(const model::Finding& finding) {
  if (finding.lasting) return "LEFT BEHIND";
  switch (finding.certainty) {
    case model::Certainty::kProven:
      return "STUCK (proven)";
    case model::Certainty::kUntil:
      if (!finding.resolves_in) return "STUCK until its time-out";
      return fmt::format("STUCK until its time-out, at most {}",
                         base::human_duration(*finding.resolves_in));
    case model::Certainty::kLikely:
      return "LIKELY STUCK";
  }
  return "LIKELY STUCK";
}

std::string verdict_sentence(const model::Finding& finding) {
  return fmt::format("{}: {}", certainty_words(finding),
                     terminal_text(finding.headline, kSentenceLimit));
}

std::string link_sentence(const model::ChainLink& link) {
  std::string text =
      terminal_text(link.who, kSentenceLimit) + " " + terminal_text(link.what, kSentenceLimit);
  if (!link.on.empty()) text += " · " + terminal_text(link.on, kSentenceLimit);
  if (link.since) text += " · for " + base::human_duration(*link.since);
  return text;
}

std::string resolved_words(const model::FindingRecord& record) {
  std::string text = record.finding.lasting ? "WAS LEFT BEHIND" : "WAS STUCK";
  if (record.resolved_at) {
    text += " for " + base::human_duration(*record.resolved_at - record.stalled_since);
  }
  if (!record.resolved_by.empty()) {
    text += ", until " + terminal_text(record.resolved_by, kSentenceLimit);
  }
  return text;
}

}  // namespace stucktrace::render
