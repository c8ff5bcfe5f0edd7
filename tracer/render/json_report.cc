#include "tracer/render/json_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tracer/render/call_stacks_json.h"
#include "tracer/render/calm.h"
#include "tracer/render/comparison_json.h"
#include "tracer/render/ended_json.h"
#include "tracer/render/finding_json.h"
#include "tracer/render/finding_scope.h"
#include "tracer/render/frame_json.h"
#include "tracer/render/json_text.h"
#include "tracer/render/sight.h"
#include "tracer/render/thread_groups.h"
#include "tracer/render/wait_json.h"
#include "tracer/render/wall_time.h"

namespace stucktrace::render {
namespace {

using Json = nlohmann::ordered_json;
using model::Finding;
using model::Report;

std::int64_t ms(base::Nanoseconds duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

std::optional<std::int64_t> in_ms(const std::optional<base::Nanoseconds>& duration) {
  return duration ? std::optional(ms(*duration)) : std::nullopt;
}

Json maybe_ms(const std::optional<base::Nanoseconds>& duration) {
  return duration ? Json(ms(*duration)) : Json(nullptr);
}

template <class T>
Json maybe(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json maybe_id(const std::optional<model::ResourceId>& id) {
  return id ? Json(to_string(*id)) : Json(nullptr);
}

template <class Id>
Json numbers(const std::vector<Id>& ids) {
  Json list = Json::array();
  for (const Id id : ids) list.push_back(id.value());
  return list;
}

// ---- processes ----------------------------------------------------------------------------------

template <class Id>
Json maybe_number(Id id) {
  return id ? Json(id.value()) : Json(nullptr);
}

Json awaited_json(const std::optional<model::AwaitedEnd>& end) {
  if (!end) return nullptr;
  return {{"tid", maybe_number(end->thread)},
          {"pid", maybe_number(end->process)},
          {"object", end->object},
          {"frame", frame_json(end->frame)}};
}

Json interpreter_json(const std::optional<model::Interpreter>& interpreter) {
  if (!interpreter) return nullptr;
  Json tasks = Json::array();
  for (const model::PythonTask& task : interpreter->tasks) {
    const bool greenlet = task.kind == model::PythonTask::Kind::kGreenlet;
    tasks.push_back({{"kind", greenlet ? "greenlet" : "task"},
                     {"name", task.name},
                     {"coroutine", task.coroutine},
                     {"tid", maybe_number(task.tid)},
                     {"current", task.current},
                     {"awaits", task.awaits},
                     {"frames", frames_json(task.frames)}});
  }
  const auto& holder = interpreter->gil_holder;
  const char* gil = !holder ? "unknown" : *holder ? "held" : "free";
  const auto& finalizing = interpreter->finalizing;
  return {{"version", interpreter->version},
          {"finalizing", finalizing ? Json(*finalizing) : Json(nullptr)},
          {"gil", {{"state", gil}, {"tid", maybe_number(holder.value_or(base::Tid{}))}}},
          {"tasks", tasks},
          {"tasks_left_out", interpreter->tasks_left_out},
          {"note", interpreter->note}};
}

using Verdicts = std::map<base::Tid, model::ThreadVerdict>;

// The frames of one process as text. Threads of a pool stand in the same places: a frame is made
// into text once, and so are frames that one thread shares with the one before.
class FrameTexts {
 public:
  void write(const model::Stack& stack, std::string& out) {
    if (last_ == nullptr || stack.data() != last_) {
      last_ = stack.data();
      last_text_.clear();
      JsonItems frames{last_text_};
      for (const model::NativeFrame& frame : stack) {
        frames.start();
        last_text_ += text(frame);
      }
      frames.end();
    }
    out += last_text_;
  }

 private:
  using Known = std::pair<model::NativeFrame, std::string>;

  const std::string& text(const model::NativeFrame& frame) {
    const auto [at, is_new] = known_.try_emplace(frame.pc);
    Known& known = at->second;
    if (is_new || known.first != frame) known = {frame, json_text(frame_json(frame))};
    return known.second;
  }

  std::unordered_map<std::uint64_t, Known> known_;
  const model::NativeFrame* last_ = nullptr;  // the report, and so all its frames, outlive this
  std::string last_text_;
};

void write_thread(const model::Thread& thread, const Report& report, const Verdicts& verdicts,
                  FrameTexts& frames, std::string& text) {
  const auto verdict = verdicts.find(thread.tid);
  std::optional<base::Nanoseconds> since;
  if (thread.waiting_since) since = report.snapshot->taken_at - *thread.waiting_since;
  JsonMembers out{text};
  out.add("tid", thread.tid.value());
  out.add("comm", thread.comm);
  out.add("name", thread.name);
  out.add("state", std::string_view(&thread.state, 1));
  out.add("verdict",
          verdict == verdicts.end() ? std::nullopt : std::optional(to_string(verdict->second)));
  out.add("since_ms", in_ms(since));
  out.start("wait");
  write_wait(thread, text);
  out.add("wchan", thread.wchan);
  out.start("stack");
  frames.write(thread.stack, text);
  out.add("python", frames_json(thread.python));
  out.add("awaited_end", awaited_json(thread.awaited_end));
  out.add("runtime_deadline_ms", in_ms(thread.runtime_deadline));
  out.add("stack_note", thread.stack_note);
  out.end();
}

void write_threads(const model::Process& process, const Report& report, const Verdicts& verdicts,
                   std::string& text) {
  JsonItems threads{text};
  FrameTexts frames;
  for (const model::Thread& thread : process.threads) {
    threads.start();
    write_thread(thread, report, verdicts, frames, text);
  }
  threads.end();
}

void write_processes(const Report& report, std::string& text) {
  JsonItems list{text};
  if (!report.snapshot) return list.end();
  Verdicts verdicts;
  for (const model::ThreadAssessment& each : report.diagnosis.threads) {
    verdicts[each.tid] = each.verdict;
  }
  for (const model::Process& process : report.snapshot->processes) {
    list.start();
    JsonMembers out{text};
    out.add("pid", process.pid.value());
    out.add("ppid", process.parent.value());
    out.add("ns_pids", process.ns_pids);
    out.add("start_time", process.start_time);
    out.add("uid", process.uid);
    out.add("comm", process.comm);
    out.add("exe", process.exe);
    out.add("cmdline", process.argv);
    out.add("state", std::string(1, process.state));
    out.add("role", process.role);
    out.add("in_tree", process.in_tree);
    out.add("interpreter", interpreter_json(process.interpreter));
    out.start("threads");
    write_threads(process, report, verdicts, text);
    out.end();
  }
  list.end();
}

// ---- resources ----------------------------------------------------------------------------------

template <class T>
Json known(const model::Known<T>& fact, const char* name, Json& unknown) {
  if (fact) return *fact;
  unknown[name] = fact.error().because;
  return nullptr;
}

Json resource_json(const model::Resource& resource) {
  Json readers = Json::array();
  Json writers = Json::array();
  for (const model::Holder& holder : resource.holders) {
    const Json entry = {{"pid", holder.pid.value()}, {"fd", holder.fd}};
    if (model::reads(holder.mode)) readers.push_back(entry);
    if (model::writes(holder.mode)) writers.push_back(entry);
  }
  Json unknown = Json::object();
  Json out = {{"id", to_string(resource.id)},
              {"kind", model::kind_word(resource.id.kind)},
              {"label", resource.label}};
  out["capacity"] = known(resource.capacity, "capacity", unknown);
  out["used"] = known(resource.queued, "used", unknown);
  out["full"] = known(resource.full, "full", unknown);
  out["readable"] = known(resource.readable, "readable", unknown);
  out["readers"] = std::move(readers);
  out["writers"] = std::move(writers);
  out["holders_complete"] = resource.holders_complete;
  out["incomplete_because"] = resource.incomplete_because;
  out["peer"] = maybe_id(resource.peer);
  out["peer_outside"] = resource.peer_outside;
  out["listening"] = resource.listening;
  out["backlog"] = maybe(resource.backlog);
  out["backlog_queued"] = maybe(resource.backlog_queued);
  out["unknown"] = std::move(unknown);
  return out;
}

// ---- verdicts -----------------------------------------------------------------------------------

void write_edges(const std::vector<model::Edge>& edges, std::string& text) {
  JsonItems list{text};
  for (const model::Edge& edge : edges) {
    list.start();
    JsonMembers out{text};
    out.add("from", edge.from.value());
    out.start("to");
    append_json_ids(edge.to, text);
    out.add("timer_ms", in_ms(edge.timer));
    out.add("outside", edge.outside);
    out.add("resource", edge.resource ? std::optional(to_string(*edge.resource)) : std::nullopt);
    out.add("why", edge.why);
    out.end();
  }
  list.end();
}

// Everybody who is stuck because of it, as groups of equal waits.
Json behind_json(const Report& report, const Finding& finding) {
  Json list = Json::array();
  const std::vector<Member> members = behind(report, finding);
  if (members.empty()) return list;
  constexpr std::size_t kMost = 64;
  for (const ThreadGroup& group : group_threads(members, report.snapshot->taken_at, kMost)) {
    Json pids = Json::array();
    Json tids = Json::array();
    for (const Member& member : group.members) {
      const std::int32_t pid = member.process->pid.value();
      if (pids.empty() || pids.back() != pid) pids.push_back(pid);
      tids.push_back(member.thread->tid.value());
    }
    list.push_back({{"pids", pids},
                    {"tids", tids},
                    {"what", group.what},
                    {"longest_ms", maybe_ms(group.longest)}});
  }
  return list;
}

Json finding_json(const Finding& finding, const Report& report) {
  Json chain = Json::array();
  for (const model::ChainLink& link : finding.chain) {
    Json each = link_json(link);
    each["since_ms"] = maybe_ms(link.since);
    each["frames"] = link.frames;
    chain.push_back(std::move(each));
  }
  Json announced = nullptr;
  if (finding.announced) {
    const model::Announcement& said = *finding.announced;
    announced = {{"text", said.text},
                 {"fd", said.fd >= 0 ? Json(said.fd) : Json(nullptr)},
                 {"at_ms", said.at ? Json(ms(*said.at - report.taken_at)) : Json(nullptr)},
                 {"evidence", said.evidence}};
  }
  return {{"rule", finding.rule},
          {"certainty", to_string(finding.certainty)},
          {"pid", finding.pid.value()},
          {"tid", finding.tid.value()},
          {"resource", maybe_id(finding.resource)},
          {"headline", finding.headline},
          {"chain", chain},
          {"cycle", numbers(finding.cycle)},
          {"resolves_in_ms", maybe_ms(finding.resolves_in)},
          {"announced", announced},
          {"explanation", finding.explanation},
          {"evidence", finding.evidence},
          {"remedy", finding.remedy},
          {"also_blocked", numbers(finding.also_blocked)},
          {"behind", behind_json(report, finding)},
          {"certain_by", certain_by(report, finding)}};
}

Json record_json(const model::FindingRecord& record, const Report& report) {
  const base::Instant until = record.resolved_at.value_or(report.taken_at);
  return {{"finding", finding_json(record.finding, report)},
          {"seen_after_ms", maybe_ms(age_when_seen({&record.finding, &record}))},
          {"stalled_ms", ms(until - record.stalled_since)},
          {"first_reported_at_ms", ms(record.first_reported - report.taken_at)},
          {"resolved_at_ms",
           record.resolved_at ? Json(ms(*record.resolved_at - report.taken_at)) : Json(nullptr)},
          {"resolved_by", record.resolved_by}};
}

// ---- trees and the look -------------------------------------------------------------------------

Json trees_json(const Report& report) {
  Json list = Json::array();
  for (const TreeActivity& tree : tree_activities(report)) {
    list.push_back({{"pid", tree.root->pid.value()},
                    {"processes", tree.processes},
                    {"threads", tree.threads},
                    {"verdict", to_string(tree.verdict)},
                    {"activity", tree.text}});
  }
  return list;
}

Json look_json(const std::optional<model::Look>& look) {
  if (!look) return nullptr;
  return {{"whole_machine", look->whole_machine},
          {"processes", look->processes},
          {"threads", look->threads},
          {"settle_ms", ms(look->settle)},
          {"took_ms", ms(look->took)}};
}

// Growing to some megabytes step by step costs more than writing them; what is reserved and not
// used costs nothing.
std::size_t likely_size(const Report& report) {
  constexpr std::size_t kRest = 4096, kThread = 1024, kFrame = 256, kEdge = 768;
  std::size_t size = kRest + report.diagnosis.edges.size() * kEdge;
  if (!report.snapshot) return size;
  for (const model::Process& process : report.snapshot->processes) {
    for (const model::Thread& thread : process.threads) {
      size += kThread + (thread.stack.size() + thread.python.size()) * kFrame;
    }
  }
  return size;
}

}  // namespace

std::string json_report(const Report& report, const TraceLanes* lanes) {
  Json resources = Json::array();
  if (report.snapshot) {
    for (const auto& [id, resource] : report.snapshot->resources) {
      resources.push_back(resource_json(resource));
    }
  }
  Json findings = Json::array();
  for (const Finding* finding : findings_by_weight(report)) {
    findings.push_back(finding_json(*finding, report));
  }
  Json history = Json::array();
  for (const model::FindingRecord& record : report.history) {
    history.push_back(record_json(record, report));
  }
  std::string text;
  text.reserve(likely_size(report));
  JsonMembers out{text};
  out.add("schema", "stucktrace.report/1");
  out.add("tool", {{"name", "stucktrace"}, {"version", report.tool_version}});
  out.add("taken_at", iso_time(report.taken_wall));
  out.add("host", {{"system", report.host}});
  out.add("look", look_json(report.look));
  out.add("could_not_see", unseen_sentences(report));
  out.add("ways_in", report.ways_in);
  out.add("trees", trees_json(report));
  out.start("processes");
  write_processes(report, text);
  out.add("resources", resources);
  out.start("edges");
  write_edges(report.diagnosis.edges, text);
  out.add("findings", findings);
  out.add("history", history);
  if (report.ended) out.add("ended", ended_json(*report.ended));
  if (report.comparison) out.add("comparison", comparison_json(*report.comparison));
  if (lanes != nullptr) {
    if (const Json taken = call_stacks_json(*lanes, report.taken_at); !taken.is_null()) {
      out.add("call_stacks", taken);
    }
  }
  out.end();
  return text;
}

}  // namespace stucktrace::render
