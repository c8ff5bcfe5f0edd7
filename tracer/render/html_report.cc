#include "tracer/render/html_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>
#include <utility>

#include "tracer/base/text.h"
#include "tracer/render/calm.h"
#include "tracer/render/comparison_text.h"
#include "tracer/render/cut_short.h"
#include "tracer/render/escape.h"
#include "tracer/render/finding_place.h"
#include "tracer/render/finding_text.h"
#include "tracer/render/html_comparison.h"
#include "tracer/render/html_resources.h"
#include "tracer/render/merged_stack.h"
#include "tracer/render/sight.h"
#include "tracer/render/thread_groups.h"
#include "tracer/render/told_finding.h"
#include "tracer/render/wait_picture.h"
#include "tracer/render/wait_text.h"
#include "tracer/render/wall_time.h"

namespace stucktrace::render {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kCommandColumns = 300;
constexpr std::size_t kNameColumns = 120;

// Times in the page are microseconds from the trace's start.
class Clock {
 public:
  explicit Clock(base::Instant zero) : zero_(zero) {}
  double operator()(base::Instant at) const {
    return std::chrono::duration<double, std::micro>(at - zero_).count();
  }

 private:
  base::Instant zero_;
};

std::string safe(std::string_view raw, std::size_t limit = kSentenceLimit) {
  return terminal_text(raw, limit);
}

Json finding_json(const model::Report& report, const Told& told, const Clock& clock) {
  const model::Finding& finding = *told.finding;
  Json chain = Json::array();
  for (const model::ChainLink& link : finding.chain) chain.push_back(link.tid.value());
  Json cycle = Json::array();
  for (const base::Tid tid : finding.cycle) cycle.push_back(tid.value());
  base::Instant from = report.taken_at;
  base::Instant to = report.taken_at;
  base::Instant seen = report.taken_at;
  if (told.record != nullptr) {
    from = told.record->stalled_since;
    seen = told.record->first_reported;
    to = told.record->resolved_at.value_or(report.taken_at);
  } else {
    for (const model::ChainLink& link : finding.chain) {
      if (link.since) from = std::min(from, base::Instant{seen.since_boot - *link.since});
    }
  }
  return {{"rule", safe(finding.rule)},
          {"verdict", verdict_text(told)},
          {"tid", finding.tid.value()},
          {"chain", chain},
          {"cycle", cycle},
          {"from", clock(from)},
          {"to", clock(to)},
          {"seen", clock(seen)},
          {"error", severity_of(told) == Severity::kError}};
}

Json graph_json(const model::Report& report) {
  const WaitPicture picture = wait_picture(report);
  Json nodes = Json::array();
  for (const PictureNode& node : picture.nodes) {
    const auto process = std::ranges::find(picture.processes, node.pid, &PictureProcess::pid);
    nodes.push_back({{"tid", node.tid.value()},
                     {"process", safe(process->name, kNameColumns)},
                     {"name", safe(node.name, kNameColumns)},
                     {"what", safe(node.what)},
                     {"cycle", node.in_cycle},
                     {"stuck", node.stuck}});
  }
  Json edges = Json::array();
  for (const PictureEdge& edge : picture.edges) {
    edges.push_back({{"from", edge.from.value()},
                     {"to", edge.to.value()},
                     {"why", safe(edge.why)},
                     {"cycle", edge.in_cycle}});
  }
  Json exits = Json::array();
  for (const PictureExit& exit : picture.exits) {
    exits.push_back({{"from", exit.from.value()}, {"text", safe(exit.text, kNameColumns)}});
  }
  return {{"nodes", nodes}, {"edges", edges}, {"exits", exits}, {"left_out", picture.left_out}};
}

// The stacks of calls, each once: a call has the number of its own.
class PageStacks {
 public:
  std::size_t number(const std::shared_ptr<const model::StackSeen>& stack) {
    const auto [at, is_new] = numbers_.try_emplace(stack, list_.size());
    if (!is_new) return at->second;
    Json lines = Json::array();
    for (const std::string& line :
         stack_lines(stack->frames, stack->python, NativeFrames::kMerged)) {
      lines.push_back(safe(line));
    }
    if (!stack->note.empty()) lines.push_back("(" + safe(stack->note) + ")");
    list_.push_back(std::move(lines));
    return at->second;
  }
  Json take() { return std::move(list_); }

 private:
  std::map<std::shared_ptr<const model::StackSeen>, std::size_t> numbers_;
  Json list_ = Json::array();
};

Json lane_json(const Lane& lane, const Clock& clock, PageStacks& stacks) {
  Json spans = Json::array();
  for (const LaneSpan& span : lane.spans) {
    Json each = {clock(span.start), clock(span.end), span.kind, span.text, span.open ? 1 : 0};
    if (!span.released_by.empty() || span.stack) each.push_back(span.released_by);
    if (span.stack) each.push_back(stacks.number(span.stack));
    spans.push_back(std::move(each));
  }
  Json marks = Json::array();
  for (const LaneMark& mark : lane.marks) marks.push_back({clock(mark.at), mark.kind, mark.text});
  return {
      {"role", lane.role},        {"pid", lane.pid.value()},
      {"tid", lane.tid.value()},  {"name", lane.name},
      {"born", clock(lane.born)}, {"ended", lane.ended ? Json(clock(*lane.ended)) : Json(nullptr)},
      {"spans", spans},           {"marks", marks}};
}

std::string_view kind_of(model::WaitKind kind) {
  switch (kind) {
    case model::WaitKind::kFutex:
    case model::WaitKind::kThreadJoin:
    case model::WaitKind::kFileLock:
    case model::WaitKind::kSemaphore:
      return "lock";
    case model::WaitKind::kChildWait:
    case model::WaitKind::kVfork:
      return "child";
    case model::WaitKind::kMultiplex:
      return "poll";
    case model::WaitKind::kSleep:
      return "sleep";
    case model::WaitKind::kSignalWait:
    case model::WaitKind::kStopped:
    case model::WaitKind::kOther:
      return "call";
    default:
      return "io";
  }
}

std::set<base::Tid> threads_of(const std::vector<Told>& findings) {
  std::set<base::Tid> tids;
  for (const Told& told : findings) {
    tids.insert(told.finding->tid);
    for (const model::ChainLink& link : told.finding->chain) tids.insert(link.tid);
    tids.insert(told.finding->cycle.begin(), told.finding->cycle.end());
  }
  return tids;
}

// `most` of them in their order, none left out that is wanted unless there is no room for these.
std::vector<Member> first_of(const std::vector<Member>& members, const std::set<base::Tid>& wanted,
                             std::size_t most) {
  const auto is_wanted = [&](const Member& each) { return wanted.contains(each.thread->tid); };
  const auto all_wanted = static_cast<std::size_t>(std::ranges::count_if(members, is_wanted));
  std::size_t others = most - std::min(most, all_wanted);
  std::vector<Member> chosen;
  for (const Member& each : members) {
    if (chosen.size() == most) break;
    if (!is_wanted(each) && others == 0) continue;
    if (!is_wanted(each)) --others;
    chosen.push_back(each);
  }
  return chosen;
}

// Without a trace: what each thread of the trees waited for when it was looked at. Since when is
// not known of every wait; it then fills all of the time shown, which is at least that of the look.
std::vector<Lane> lanes_of(const model::Snapshot& snapshot, base::Nanoseconds look,
                           const std::vector<Told>& findings, std::size_t& left_out) {
  constexpr std::size_t kMost = 300;
  std::vector<Member> members = members_of(snapshot, true);
  if (members.size() > kMost) {
    left_out = members.size() - kMost;
    members = first_of(members, threads_of(findings), kMost);
  }
  base::Instant zero{snapshot.taken_at.since_boot - look};
  for (const Member& member : members) {
    zero = std::min(zero, member.thread->waiting_since.value_or(zero));
  }
  std::vector<Lane> lanes;
  for (const Member& member : members) {
    const model::Thread& thread = *member.thread;
    Lane lane;
    lane.pid = member.process->pid;
    lane.tid = thread.tid;
    lane.role = safe(member.process->role, kNameColumns);
    lane.name = safe(thread.name.empty() ? thread.comm : thread.name, kNameColumns);
    lane.born = zero;
    if (thread.wait.kind != model::WaitKind::kRunning) {
      const std::string unknown = thread.waiting_since ? "" : ", since when is not known";
      lane.spans.push_back({thread.waiting_since.value_or(zero),
                            snapshot.taken_at,
                            kind_of(thread.wait.kind),
                            wait_text(thread) + unknown,
                            true,
                            {},
                            {}});
    }
    lanes.push_back(std::move(lane));
  }
  return lanes;
}

// What the runtime calls a thread says more than what the kernel does.
void name_lanes(const model::Report& report, std::vector<Lane>& lanes) {
  if (!report.snapshot) return;
  for (Lane& lane : lanes) {
    const model::Process* process = nullptr;
    const model::Thread* thread = report.snapshot->find_thread(lane.tid, &process);
    // The number may have been another thread's before.
    if (thread == nullptr || process->pid != lane.pid || thread->name.empty()) continue;
    if (lane.tid == base::main_thread(lane.pid)) continue;  // "MainThread" tells no program
    if (lane.ended && *lane.ended < report.snapshot->taken_at) continue;
    lane.name = safe(thread->name, kNameColumns);
  }
}

// In a script element nothing may look like its end.
std::string script_data(const Json& data) {
  std::string out;
  for (const char byte : data.dump(-1, ' ', false, Json::error_handler_t::replace)) {
    if (byte == '<') {
      out += "\\u003c";
    } else {
      out += byte;
    }
  }
  return out;
}

std::string findings_html(const model::Report& report, const std::vector<Told>& findings,
                          const Subject& subject) {
  std::string out;
  std::size_t number = 0;
  for (const Told& told : findings) {
    const model::Finding& finding = *told.finding;
    const bool error = severity_of(told) == Severity::kError;
    out += fmt::format(
        "<article class=\"finding {}\" id=\"finding-{}\" data-tid=\"{}\" tabindex=\"0\">\n"
        "<h3>{}</h3>\n",
        error ? "error" : "warning", number, finding.tid,
        // The first verdict is the page's heading.
        xml_text(number == 0
                     ? fmt::format("{} ({})", safe(finding.rule), to_string(finding.certainty))
                     : verdict_text(told)));
    ++number;
    if (const auto place = source_place(report, finding, subject)) {
      out += fmt::format("<p class=\"place\">at <code>{}:{}</code></p>\n", xml_text(place->file),
                         place->line);
    }
    if (!finding.remedy.empty()) {
      out +=
          fmt::format("<p class=\"remedy\"><b>Remedy</b> {}</p>\n", xml_text(safe(finding.remedy)));
    }
    out += fmt::format("<details{}><summary>The whole story</summary><pre>{}</pre></details>\n",
                       number == 1 ? " open" : "", xml_text(finding_story(report, told)));
    out += "</article>\n";
  }
  return out;
}

struct Verdict {
  std::string text;
  std::string_view state;  // "error", "warning", "calm"
};

// The worst that is to be told.
Verdict verdict_of(const model::Report& report, const std::vector<Told>& findings,
                   const Subject& subject) {
  Verdict verdict{calm_sentence(report), "calm"};
  if (!findings.empty()) {
    const bool error = severity_of(findings.front()) == Severity::kError;
    verdict = {verdict_text(findings.front()), error ? "error" : "warning"};
  }
  const bool differs = report.comparison && !report.comparison->passed();
  if (findings.empty() && differs) {
    verdict = {comparison_sentence(*report.comparison) + " " + verdict.text, "error"};
  }
  if (!subject.failure.empty()) {
    // That nothing was found says nothing where nothing could be.
    const std::string found = findings.empty() ? "" : " " + verdict.text;
    verdict.text = "The trace did not come to its end: " + safe(subject.failure) + "." + found;
    if (findings.empty()) verdict.state = "warning";
  }
  return verdict;
}

std::string ended_html(const model::Ended& ended) {
  return fmt::format("  <p class=\"ended\">{}</p>\n", xml_text(ended_sentences(ended)));
}

// Every {{name}} of the template once; what is put in is not looked at again.
std::string fill(std::string_view page,
                 const std::vector<std::pair<std::string_view, std::string>>& values) {
  std::string out;
  for (;;) {
    const std::size_t at = page.find("{{");
    out += page.substr(0, at);
    if (at == page.npos) return out;
    const std::size_t end = page.find("}}", at);
    const std::string_view name = page.substr(at + 2, end - at - 2);
    const auto value =
        std::ranges::find(values, name, &std::pair<std::string_view, std::string>::first);
    if (value != values.end()) out += value->second;
    page.remove_prefix(end + 2);
  }
}

}  // namespace

std::string html_report(const model::Report& report, const Subject& subject,
                        const TraceLanes* lanes) {
  const std::vector<Told> findings = told_findings(report);
  std::vector<Lane> rows;
  base::Instant zero = report.taken_at;
  TraceLanes::LeftOut left_out;
  if (lanes != nullptr) {
    rows = lanes->lanes();
    zero = lanes->zero();
    left_out = lanes->left_out();
  } else if (report.snapshot) {
    constexpr base::Nanoseconds kLeast = std::chrono::milliseconds{10};
    rows = lanes_of(*report.snapshot, std::max(kLeast, report.look ? report.look->took : kLeast),
                    findings, left_out.lanes);
    for (const Lane& row : rows) zero = std::min(zero, row.born);
  }
  name_lanes(report, rows);
  const Clock clock(zero);
  Json data = {{"from", 0.0}, {"to", std::max(1.0, clock(report.taken_at))}};
  data["findings"] = Json::array();
  for (const Told& told : findings) data["findings"].push_back(finding_json(report, told, clock));
  data["graph"] = graph_json(report);
  data["lanes"] = Json::array();
  PageStacks stacks;
  for (const Lane& row : rows) data["lanes"].push_back(lane_json(row, clock, stacks));
  data["stacks"] = stacks.take();
  data["left_out"] = {{"lanes", left_out.lanes},
                      {"spans", left_out.spans},
                      {"marks", left_out.marks},
                      {"stacks", left_out.stacks}};

  const std::string command =
      "stucktrace " + subject.command + " " + command_text(subject.words, kCommandColumns);
  const Verdict verdict = verdict_of(report, findings, subject);
  const auto& judged = report.comparison;
  // The verdict says it where there is nothing worse.
  const std::string compared = judged ? comparison_head_html(*judged, findings.empty()) : "";
  const std::string comparison = judged ? comparison_html(*judged) : "";
  std::string unseen;
  for (const std::string& sentence : unseen_sentences(report)) {
    unseen += fmt::format("<li>{}</li>\n", xml_text(safe(sentence)));
  }
  if (!unseen.empty()) unseen = "<h2>Could not see</h2>\n<ul>\n" + unseen + "</ul>\n";
  return fill(kPageHtml, {{"title", xml_text(command)},
                          {"style", std::string(kPageCss)},
                          {"state", std::string(verdict.state)},
                          {"verdict", xml_text(verdict.text)},
                          {"compared", compared},
                          {"ended", report.ended ? ended_html(*report.ended) : ""},
                          {"comparison", comparison},
                          {"command", xml_text(command)},
                          {"when", xml_text(iso_time(report.taken_wall - subject.took))},
                          {"took", xml_text(base::human_duration(subject.took))},
                          {"version", xml_text(report.tool_version)},
                          {"host", xml_text(report.host)},
                          {"findings", findings_html(report, findings, subject)},
                          {"unseen", unseen},
                          {"data", script_data(data)},
                          {"script", std::string(kGraphJs) + std::string(kTimelineJs)}});
}

}  // namespace stucktrace::render
