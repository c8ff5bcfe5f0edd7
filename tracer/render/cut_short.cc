#include "tracer/render/cut_short.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <string_view>
#include <utility>

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

std::string process_list(const std::vector<model::EndedProcess>& processes) {
  constexpr std::size_t kMostNamed = 10;
  std::string text;
  for (std::size_t i = 0; i < std::min(processes.size(), kMostNamed); ++i) {
    const model::EndedProcess& process = processes[i];
    if (i > 0) text += ", ";
    text += process.name.empty()
                ? fmt::format("pid {}", process.pid)
                : fmt::format("{} (pid {})", terminal_text(process.name), process.pid);
  }
  if (processes.size() <= kMostNamed) return text;
  return text + fmt::format(", and {} more", processes.size() - kMostNamed);
}

std::string ended_processes_sentence(const model::Ended& ended) {
  using Known = model::EndedProcess::Known;
  const std::size_t all = ended.processes.size();
  if (all == 0) return "";
  std::string text;
  constexpr std::pair<Known, std::string_view> kKinds[] = {
      {Known::kTraced, ""},
      {Known::kBelow, "no longer traced: "},
      {Known::kGroup, "by the control group alone: "}};
  for (const auto& [known, words] : kKinds) {
    std::vector<model::EndedProcess> some;
    std::ranges::copy_if(ended.processes, std::back_inserter(some),
                         [&](const auto& each) { return each.known == known; });
    if (some.empty()) continue;
    text += fmt::format("{}{}{}", text.empty() ? "" : "; ", words, process_list(some));
  }
  return fmt::format("{} {} ended: {}.", all, all == 1 ? "process is" : "processes are", text);
}

std::string ended_sentences(const model::Ended& ended) {
  const std::string whom = ended_processes_sentence(ended);
  return cut_short_sentence(ended) + (whom.empty() ? "" : " ") + whom;
}

std::string cut_short_story(const model::Report& report) {
  return told_findings(report).empty() ? text_report(report, {.stacks = true}) : "";
}

}  // namespace stucktrace::render
