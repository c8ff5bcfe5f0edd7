#include "tracer/render/text_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "tracer/base/text.h"
#include "tracer/render/escape.h"
#include "tracer/render/finding_text.h"
#include "tracer/render/style.h"
#include "tracer/render/wait_text.h"
#include "tracer/render/wrap.h"

namespace stucktrace::render {
namespace {

using model::Finding;
using model::FindingRecord;
using model::Report;

constexpr std::size_t kFramesShown = 3;
constexpr std::size_t kEvidenceShown = 3;
constexpr std::size_t kUnseenShown = 5;
constexpr std::size_t kWaitLines = 40;

// One finding as the report tells it: what is now, or what was.
struct Told {
  const Finding* finding = nullptr;
  const FindingRecord* record = nullptr;  // where the trace knows its life
  bool resolved() const { return record != nullptr && record->resolved_at.has_value(); }
};

bool same(const Finding& a, const Finding& b) {
  return a.rule == b.rule && a.tid == b.tid && a.resource == b.resource;
}

// Present findings in the diagnosis's order (worst first), then those the trace saw and the last
// sample does not, the unresolved first.
std::vector<Told> told_findings(const Report& report) {
  std::vector<Told> told;
  std::set<const FindingRecord*> used;
  for (const Finding& finding : report.diagnosis.findings) {
    const auto record = std::ranges::find_if(report.history, [&](const FindingRecord& each) {
      return !used.contains(&each) && same(each.finding, finding);
    });
    const bool known = record != report.history.end();
    // The last sample is older than the end of the stall: its record tells the whole story.
    if (known && record->resolved_at) continue;
    told.push_back({&finding, known ? &*record : nullptr});
    if (known) used.insert(&*record);
  }
  for (const bool resolved : {false, true}) {
    for (const FindingRecord& record : report.history) {
      if (used.contains(&record) || record.resolved_at.has_value() != resolved) continue;
      told.push_back({&record.finding, &record});
    }
  }
  return told;
}

class TextReport {
 public:
  TextReport(const Report& report, const TextOptions& options)
      : report_(report), options_(options), paint_(options.color) {}

  std::string text();

 private:
  void paragraph(std::string_view safe, std::string_view first, std::string_view rest,
                 Style style = Style::kPlain);
  void labelled(std::string_view label, std::string_view safe);
  void bullets(std::string_view label, const std::vector<std::string>& raw, std::size_t most);
  std::string verdict(const Told& told) const;
  void finding(const Told& told);
  void chain(const Finding& finding);
  std::string_view arrow(const Finding& finding, std::size_t index) const;
  void announced(const Finding& finding);
  std::string also_blocked(const Finding& finding) const;
  std::string calm_sentence() const;
  void waits();
  void stacks();
  void unseen();

  const Report& report_;
  const TextOptions& options_;
  Painter paint_;
  std::string out_;
};

void TextReport::paragraph(std::string_view safe, std::string_view first, std::string_view rest,
                           Style style) {
  const std::string block = wrapped(safe, first, rest, options_.width);
  std::string_view lines = block;
  lines.remove_suffix(1);
  for (const std::string_view line : base::split(lines, '\n')) {
    out_ += paint_(style, line);
    out_ += '\n';
  }
}

void TextReport::labelled(std::string_view label, std::string_view safe) {
  constexpr std::size_t kLabelWidth = 12;
  paragraph(safe, fmt::format("  {:<{}}", label, kLabelWidth - 2), std::string(kLabelWidth, ' '));
}

void TextReport::bullets(std::string_view label, const std::vector<std::string>& raw,
                         std::size_t most) {
  for (std::size_t i = 0; i < raw.size(); ++i) {
    if (i == most) {
      labelled("", fmt::format("… and {} more (-v)", raw.size() - most));
      return;
    }
    labelled(i == 0 ? label : "", terminal_text(raw[i], kSentenceLimit));
  }
}

std::string TextReport::verdict(const Told& told) const {
  if (!told.resolved()) return verdict_sentence(*told.finding);
  return resolved_words(*told.record) + ": " +
         terminal_text(told.finding->headline, kSentenceLimit);
}

// What leads from link `index` to the next one: the diagnosis's edges say, where it has them.
std::string_view TextReport::arrow(const Finding& finding, std::size_t index) const {
  const auto waits_for = [&](base::Tid from, base::Tid to) -> std::optional<bool> {
    std::optional<bool> answer;
    for (const model::Edge& edge : report_.diagnosis.edges) {
      if (edge.from != from) continue;
      if (std::ranges::find(edge.to, to) != edge.to.end()) return true;
      answer = false;
    }
    return answer;
  };
  const base::Tid next = finding.chain[index + 1].tid;
  if (waits_for(finding.chain[index].tid, next).value_or(true)) return "▼ waits for";
  for (std::size_t before = 0; before < index; ++before) {
    if (waits_for(finding.chain[before].tid, next).value_or(false)) return "▽ or for";
  }
  return "▽ and";
}

// Each link waits for the next one; in a cycle the last waits for the first, which the frame on the
// left shows.
void TextReport::chain(const Finding& finding) {
  const bool cycle = !finding.cycle.empty() && finding.chain.size() > 1;
  for (std::size_t i = 0; i < finding.chain.size(); ++i) {
    const model::ChainLink& link = finding.chain[i];
    const bool first = i == 0;
    const bool last = i + 1 == finding.chain.size();
    const std::string_view head = !cycle ? "    " : first ? "  ┌▶ " : last ? "  └─ " : "  │  ";
    const std::string_view rail = cycle && !last ? "  │  " : cycle ? "     " : "    ";
    paragraph(link_sentence(link), head, std::string(rail) + "  ");
    const std::size_t frames =
        options_.verbose ? link.frames.size() : std::min(link.frames.size(), kFramesShown);
    const std::string before = fmt::format("{}    at ", rail);
    const std::size_t room = options_.verbose || options_.width <= columns(before)
                                 ? kSentenceLimit
                                 : options_.width - columns(before);
    for (std::size_t f = 0; f < frames; ++f) {
      out_ += paint_(Style::kDim, before + terminal_text(link.frames[f], room)) + '\n';
    }
    if (!last) out_ += fmt::format("{}{}\n", rail, arrow(finding, i));
  }
  if (cycle) out_ += "     ▲ which waits for the first: a cycle\n";
}

void TextReport::announced(const Finding& finding) {
  if (!finding.announced) return;
  const model::Announcement& said = *finding.announced;
  if (said.fd < 0) {  // nothing was said: its stack shows that it is on its way out
    labelled("Exiting", terminal_text(said.evidence, 200));
    return;
  }
  std::string text = said.text.empty() ? std::string() : quoted(said.text, 200);
  if (!said.evidence.empty()) {
    const std::string evidence = terminal_text(said.evidence, 200);
    text += text.empty() ? evidence : " (" + evidence + ")";
  }
  if (said.at) text += ", " + base::human_duration(report_.taken_at - *said.at) + " ago";
  labelled("Announced", text);
}

std::string TextReport::also_blocked(const Finding& finding) const {
  constexpr std::size_t kShown = 8;
  std::string text = fmt::format("{} thread{} behind this: ", finding.also_blocked.size(),
                                 finding.also_blocked.size() == 1 ? "" : "s");
  for (std::size_t i = 0; i < std::min(kShown, finding.also_blocked.size()); ++i) {
    text += fmt::format("{}{}", i == 0 ? "" : ", ", finding.also_blocked[i]);
  }
  if (finding.also_blocked.size() > kShown) text += ", …";
  return text;
}

void TextReport::finding(const Told& told) {
  const Finding& finding = *told.finding;
  if (!finding.chain.empty()) {
    out_ += '\n';
    chain(finding);
  }
  out_ += '\n';
  announced(finding);
  std::string why;
  for (const std::string& sentence : finding.explanation) {
    if (!why.empty()) why += ' ';
    why += terminal_text(sentence, kSentenceLimit);
  }
  if (!why.empty()) labelled("Why", why);
  if (!finding.also_blocked.empty()) labelled("Also", also_blocked(finding));
  if (options_.verbose || finding.evidence.size() <= kEvidenceShown) {
    bullets("Evidence", finding.evidence, finding.evidence.size());
  }
  if (!finding.remedy.empty()) labelled("Remedy", terminal_text(finding.remedy, kSentenceLimit));
  labelled("Rule", fmt::format("{} ({})", terminal_text(finding.rule),
                               model::to_string(finding.certainty)));
}

std::string TextReport::calm_sentence() const {
  if (!report_.snapshot || report_.diagnosis.threads.empty()) return "Nothing is stuck.";
  std::map<model::ThreadVerdict, std::size_t> counts;
  std::set<base::Pid> processes;
  std::size_t threads = 0;
  for (const model::ThreadAssessment& each : report_.diagnosis.threads) {
    const model::Process* owner = nullptr;
    if (report_.snapshot->find_thread(each.tid, &owner) == nullptr || !owner->in_tree) continue;
    processes.insert(owner->pid);
    ++counts[each.verdict];
    ++threads;
  }
  const auto plural = [](std::size_t count, std::string_view one) {
    const std::string_view ending = count == 1 ? "" : one.ends_with("ss") ? "es" : "s";
    return fmt::format("{} {}{}", count, one, ending);
  };
  std::string text = fmt::format("Nothing is stuck: {}, {}", plural(processes.size(), "process"),
                                 plural(threads, "thread"));
  std::string_view before = ": ";
  using enum model::ThreadVerdict;
  for (const auto verdict : {kWaiting, kRunning, kSlow, kStopped, kStuck}) {
    if (counts[verdict] == 0) continue;
    text +=
        fmt::format("{}{} {}", std::exchange(before, ", "), counts[verdict], to_string(verdict));
  }
  return text + ".";
}

// What everybody waits for, equal threads together: exact where that fits a screen, else by kind.
void TextReport::waits() {
  if (!report_.snapshot) return;
  struct Group {
    std::size_t threads = 0;
    std::set<base::Pid> processes;
    std::string example;
    std::optional<base::Nanoseconds> longest;
  };
  using Key = std::tuple<std::string, std::string>;  // who, what
  const auto grouped = [&](bool exact) {
    std::vector<std::pair<Key, Group>> groups;
    std::map<Key, std::size_t> index;
    for (const model::Process& process : report_.snapshot->processes) {
      if (!process.in_tree) continue;
      for (const model::Thread& thread : process.threads) {
        const std::string name = terminal_text(process.comm, 20);
        Key key{exact ? fmt::format("{} {} ({})", process.role.empty() ? "-" : process.role, name,
                                    process.pid)
                      : name,
                exact ? wait_text(thread) : wait_word(thread)};
        const auto [at, fresh] = index.try_emplace(key, groups.size());
        if (fresh) groups.emplace_back(key, Group{});
        Group& group = groups[at->second].second;
        ++group.threads;
        group.processes.insert(process.pid);
        if (group.example.empty()) group.example = wait_text(thread);
        if (thread.waiting_since) {
          const auto since = report_.snapshot->taken_at - *thread.waiting_since;
          if (!group.longest || since > *group.longest) group.longest = since;
        }
      }
    }
    return groups;
  };
  auto groups = grouped(true);
  const bool exact = groups.size() <= kWaitLines;
  if (!exact) {
    groups = grouped(false);
    std::ranges::stable_sort(groups, std::ranges::greater{},
                             [](const auto& each) { return each.second.threads; });
  }
  if (groups.empty()) return;
  out_ += '\n';
  std::size_t widest = 0;
  for (const auto& [key, group] : groups) widest = std::max(widest, columns(std::get<0>(key)));
  for (std::size_t i = 0; i < groups.size(); ++i) {
    if (i == kWaitLines) {
      out_ += fmt::format("  … and {} more kinds of waiting\n", groups.size() - kWaitLines);
      break;
    }
    const auto& [key, group] = groups[i];
    const std::string& who = std::get<0>(key);
    std::string text;
    if (!exact && group.processes.size() > 1) {
      text += fmt::format("{} processes, ", group.processes.size());
    }
    if (group.threads > 1) text += fmt::format("{} threads: ", group.threads);
    text += exact ? std::get<1>(key) : std::get<1>(key) + ", such as: " + group.example;
    if (group.longest) {
      text += fmt::format(", for {}{}", group.threads > 1 ? "up to " : "",
                          base::human_duration(*group.longest));
    }
    const std::string pad(widest - columns(who), ' ');
    paragraph(text, fmt::format("  {}{}  ", who, pad), std::string(widest + 6, ' '));
  }
}

void TextReport::stacks() {
  if (!report_.snapshot) return;
  out_ += "\nStacks\n";
  for (const model::Process& process : report_.snapshot->processes) {
    for (const model::Thread& thread : process.threads) {
      const std::string& name = thread.name.empty() ? thread.comm : thread.name;
      out_ +=
          fmt::format("  {} {} (pid {}), thread {} {}: {}\n",
                      process.role.empty() ? "-" : process.role, terminal_text(process.comm, 20),
                      process.pid, thread.tid, terminal_text(name, 40), wait_text(thread));
      for (const auto& frame : thread.python) {
        out_ += paint_(Style::kDim, "      py " + frame_text(frame)) + '\n';
      }
      for (const auto& frame : thread.stack) {
        out_ += paint_(Style::kDim, "      at " + frame_text(frame)) + '\n';
      }
      if (!thread.stack_note.empty()) {
        out_ += paint_(Style::kDim, "      (" + terminal_text(thread.stack_note, 200) + ")") + '\n';
      }
    }
  }
}

void TextReport::unseen() {
  std::vector<std::string> all = report_.could_not_see;
  if (report_.snapshot) {
    for (const std::string& each : report_.snapshot->could_not_see) {
      if (std::ranges::find(all, each) == all.end()) all.push_back(each);
    }
  }
  if (all.empty()) return;
  out_ += "\nCould not see\n";
  const std::size_t most = options_.verbose ? all.size() : std::min(all.size(), kUnseenShown);
  for (std::size_t i = 0; i < most; ++i) {
    paragraph(terminal_text(all[i], kSentenceLimit), "  - ", "    ");
  }
  if (all.size() > most) out_ += fmt::format("  - and {} more (-v)\n", all.size() - most);
}

std::string TextReport::text() {
  const std::vector<Told> told = told_findings(report_);
  const auto style = [](const Told& each) {
    return each.resolved() ? Style::kWarn : Style::kAlarm;
  };
  if (told.empty()) {
    paragraph(calm_sentence(), "", "", Style::kGood);
    waits();
  } else if (told.size() == 1) {
    paragraph(verdict(told[0]), "", "", style(told[0]));
    finding(told[0]);
  } else {
    // The worst one's sentence stays the first line; the others follow as headings.
    for (std::size_t i = 0; i < told.size(); ++i) {
      if (i > 0) out_ += '\n';
      const std::string number = fmt::format("{}. ", i + 1);
      paragraph(verdict(told[i]), i == 0 ? "" : number,
                i == 0 ? "" : std::string(number.size(), ' '), style(told[i]));
      if (i == 0) {
        const std::size_t others = told.size() - 1;
        out_ += fmt::format("(1 of {} findings; {} more below)\n", told.size(), others);
      }
      finding(told[i]);
    }
  }
  if (options_.stacks) stacks();
  unseen();
  return std::move(out_);
}

}  // namespace

std::string text_report(const Report& report, const TextOptions& options) {
  return TextReport(report, options).text();
}

}  // namespace stucktrace::render
