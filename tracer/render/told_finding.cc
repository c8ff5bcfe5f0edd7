#include "tracer/render/told_finding.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "tracer/base/text.h"
#include "tracer/render/escape.h"
#include "tracer/render/finding_text.h"

namespace stucktrace::render {
namespace {

using model::Finding;
using model::Report;

constexpr std::size_t kFramesShown = 3;
constexpr std::size_t kEvidenceShown = 3;
constexpr std::size_t kDoubtsShown = 2;
constexpr std::size_t kGroupsShown = 6;

// Of a long list its beginning and its end are shown, with what lies between told in one line.
struct Middle {
  std::size_t begin = 0;
  std::size_t end = 0;  // begin == end: everything is shown
  bool hides(std::size_t index) const { return index >= begin && index < end; }
  std::size_t size() const { return end - begin; }
};

Middle middle_of(std::size_t size, std::size_t first, std::size_t last, bool all) {
  // A line that stands for one or two would save nothing.
  if (all || size <= first + last + 2) return {};
  return {first, size - last};
}

class Chain {
 public:
  Chain(const Report& report, const Finding& finding, Page& page)
      : report_(report),
        finding_(finding),
        page_(page),
        cycle_(!finding.cycle.empty() && finding.chain.size() > 1),
        hidden_(middle_of(finding.chain.size(), 3, 2, page.options().verbose)) {}

  // Each link waits for the next one; in a cycle the last waits for the first, which the frame on
  // the left shows.
  void write() {
    for (std::size_t i = 0; i < finding_.chain.size(); ++i) {
      if (!hidden_.hides(i)) {
        link(i);
      } else if (i == hidden_.begin) {
        hidden();
      }
    }
    if (cycle_) page_.line("     ▲ which waits for the first: a cycle");
  }

 private:
  bool is_last(std::size_t index) const { return index + 1 == finding_.chain.size(); }

  std::string rail(std::size_t index) const {
    return cycle_ && !is_last(index) ? "  │  " : cycle_ ? "     " : "    ";
  }

  void link(std::size_t index) {
    const model::ChainLink& link = finding_.chain[index];
    const std::string_view head = !cycle_          ? "    "
                                  : index == 0     ? "  ┌▶ "
                                  : is_last(index) ? "  └─ "
                                                   : "  │  ";
    page_.paragraph(link_sentence(link), head, rail(index) + "  ");
    const TextOptions& options = page_.options();
    const std::size_t frames =
        options.verbose ? link.frames.size() : std::min(link.frames.size(), kFramesShown);
    const std::string before = rail(index) + "    at ";
    const std::size_t room = options.verbose || options.width <= columns(before)
                                 ? kSentenceLimit
                                 : options.width - columns(before);
    for (std::size_t f = 0; f < frames; ++f) {
      page_.line(before + terminal_text(link.frames[f], room), Style::kDim);
    }
    if (!is_last(index)) page_.line(rail(index) + std::string(arrow(index)));
  }

  void hidden() {
    const std::string before = rail(hidden_.begin);
    page_.line(before + fmt::format("⋮ {} more in between (-v):", hidden_.size()));
    std::vector<Member> members;
    for (std::size_t i = hidden_.begin; i < hidden_.end && report_.snapshot; ++i) {
      Member member;
      member.thread = report_.snapshot->find_thread(finding_.chain[i].tid, &member.process);
      if (member.thread != nullptr) members.push_back(member);
    }
    std::ranges::stable_sort(members, {}, [](const Member& each) { return each.process->pid; });
    constexpr std::size_t kMost = 4;
    auto groups = members.empty() ? std::vector<ThreadGroup>{}
                                  : group_threads(members, report_.snapshot->taken_at, kMost);
    for (std::size_t i = 0; i < std::min(kMost, groups.size()); ++i) {
      page_.paragraph(groups[i].who + "  " + group_text(groups[i]), before + "  ", before + "    ");
    }
    page_.line(before + std::string(arrow(hidden_.end - 1)));
  }

  // What leads from a link to the next one: the diagnosis's edges say, where it has them.
  std::string_view arrow(std::size_t index) const {
    const base::Tid next = finding_.chain[index + 1].tid;
    if (waits_for(finding_.chain[index].tid, next).value_or(true)) return "▼ waits for";
    for (std::size_t before = 0; before < index; ++before) {
      if (waits_for(finding_.chain[before].tid, next).value_or(false)) return "▽ or for";
    }
    return "▽ and";
  }

  std::optional<bool> waits_for(base::Tid from, base::Tid to) const {
    std::optional<bool> answer;
    for (const model::Edge& edge : report_.diagnosis.edges) {
      if (edge.from != from) continue;
      if (std::ranges::find(edge.to, to) != edge.to.end()) return true;
      answer = false;
    }
    return answer;
  }

  const Report& report_;
  const Finding& finding_;
  Page& page_;
  bool cycle_;
  Middle hidden_;
};

void write_announced(const Report& report, const Told& told, Page& page) {
  if (!told.finding->announced) return;
  const model::Announcement& said = *told.finding->announced;
  if (said.fd < 0) {  // nothing was said: its stack shows that it is on its way out
    page.labelled("Exiting", terminal_text(said.evidence, 200));
    return;
  }
  std::string text = said.text.empty() ? std::string() : quoted(said.text, 200);
  if (!said.evidence.empty()) {
    const std::string evidence = terminal_text(said.evidence, 200);
    text += text.empty() ? evidence : " (" + evidence + ")";
  }
  if (said.at && told.resolved()) {
    text += fmt::format(", {} before it went on",
                        base::human_duration(*told.record->resolved_at - *said.at));
  } else if (said.at) {
    text += ", " + base::human_duration(report.taken_at - *said.at) + " ago";
  }
  page.labelled("Announced", text);
}

void write_why(const Finding& finding, Page& page) {
  const auto& sentences = finding.explanation;
  const Middle hidden = middle_of(sentences.size(), 3, 2, page.options().verbose);
  std::string why;
  for (std::size_t i = 0; i < sentences.size(); ++i) {
    if (!why.empty() && (!hidden.hides(i) || i == hidden.begin)) why += ' ';
    if (!hidden.hides(i)) {
      why += terminal_text(sentences[i], kSentenceLimit);
    } else if (i == hidden.begin) {
      why += fmt::format("… {} more steps (-v) …", hidden.size());
    }
  }
  if (!why.empty()) page.labelled("Why", why);
}

// Who else is stuck: by process, equal waits together.
void write_behind(const Report& report, const Finding& finding, Page& page) {
  const std::vector<Member> members = behind(report, finding);
  std::size_t unknown = 0;  // gone from the snapshot, or there is none
  for (const base::Tid tid : finding.also_blocked) {
    if (!report.snapshot || report.snapshot->find_thread(tid) == nullptr) ++unknown;
  }
  const std::size_t count = members.size() + unknown;
  if (count == 0) return;
  const auto groups = members.empty()
                          ? std::vector<ThreadGroup>{}
                          : group_threads(members, report.snapshot->taken_at, kGroupsShown);
  page.labelled("Also", fmt::format("{} more thread{} stuck behind this{}", count,
                                    count == 1 ? " is" : "s are", groups.empty() ? "." : ":"));
  std::size_t shown = 0;
  for (const ThreadGroup& group : groups) {
    if (shown++ == kGroupsShown) {
      page.labelled("",
                    fmt::format("… and {} more kinds of waiting", groups.size() - kGroupsShown));
      break;
    }
    const bool one = group.members.size() == 1 && group.members[0].process->threads.size() > 1;
    const std::string who =
        one ? group.who + ", " + thread_label(group.members.front()) : group.who;
    page.paragraph(who + "  " + group_text(group), "              ", "                ");
  }
}

// A process in a pid namespace of its own has another number there.
void write_inner_pids(const Report& report, const Finding& finding, Page& page) {
  if (!report.snapshot) return;
  constexpr std::size_t kShown = 6;
  std::vector<base::Pid> told;
  std::string text;
  for (const model::ChainLink& link : finding.chain) {
    const model::Process* process = report.snapshot->find(link.pid);
    if (process == nullptr || process->ns_pids.size() < 2 || told.size() == kShown) continue;
    if (std::ranges::find(told, link.pid) != told.end()) continue;
    told.push_back(link.pid);
    text += fmt::format("{}{} is {}", text.empty() ? "" : ", ", link.pid, process->ns_pids.back());
  }
  if (!text.empty()) page.labelled("Inside", "in its own pid namespace " + text);
}

void write_doubts(const Report& report, const Finding& finding, Page& page) {
  if (finding.certainty != model::Certainty::kLikely) return;
  page.bullets("Unproven", doubts_of(finding),
               page.options().verbose ? finding.evidence.size() : kDoubtsShown);
  if (const std::string way = certain_by(report, finding); !way.empty()) {
    page.labelled("Certain", terminal_text(way, kSentenceLimit));
  }
}

}  // namespace

std::string verdict_text(const Told& told) {
  if (!told.resolved()) return verdict_sentence(*told.finding);
  // The sentences of the finding are as it was looked at then; the end came later.
  std::string text = resolved_words(*told.record) + ". ";
  const auto age = age_when_seen(told);
  text +=
      age ? fmt::format("As seen {} into it: ", base::human_duration(*age)) : "As it was seen: ";
  return text + terminal_text(told.finding->headline, kSentenceLimit);
}

void write_finding(const Report& report, const Told& told, Page& page) {
  const Finding& finding = *told.finding;
  if (!finding.chain.empty()) {
    page.line("");
    Chain(report, finding, page).write();
  }
  page.line("");
  write_announced(report, told, page);
  write_why(finding, page);
  write_behind(report, finding, page);
  write_inner_pids(report, finding, page);
  if (page.options().verbose || finding.evidence.size() <= kEvidenceShown) {
    page.bullets("Evidence", finding.evidence, finding.evidence.size());
  } else {
    write_doubts(report, finding, page);
  }
  if (!finding.remedy.empty()) {
    page.labelled("Remedy", terminal_text(finding.remedy, kSentenceLimit));
  }
  page.labelled("Rule", fmt::format("{} ({})", terminal_text(finding.rule),
                                    model::to_string(finding.certainty)));
}

}  // namespace stucktrace::render
