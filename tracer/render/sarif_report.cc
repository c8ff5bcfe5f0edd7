#include "tracer/render/sarif_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <string_view>

#include "tracer/render/comparison_text.h"
#include "tracer/render/cut_short.h"
#include "tracer/render/escape.h"
#include "tracer/render/finding_place.h"
#include "tracer/render/finding_text.h"
#include "tracer/render/told_finding.h"
#include "tracer/render/wall_time.h"

namespace stucktrace::render {
namespace {

using Json = nlohmann::ordered_json;

// A relative reference (RFC 3986): what is no unreserved character or slash is escaped. A colon in
// the first segment would read as a scheme.
std::string uri(std::string_view path) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/";
  std::string out;
  for (const char byte : path) {
    if (kPlain.find(byte) != kPlain.npos) {
      out += byte;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(byte));
    }
  }
  return out;
}

std::string safe(std::string_view raw) {
  return terminal_text(raw, kSentenceLimit);
}

Json logical_location(const model::Report& report, base::Pid pid, base::Tid tid) {
  std::string name = fmt::format("pid {}", pid);
  if (report.snapshot) {
    if (const model::Process* process = report.snapshot->find(pid)) {
      name = safe(process->role.empty() ? process->comm : process->role + " " + process->comm);
    }
  }
  const bool main = tid.value() == pid.value();
  return {{"name", main ? name : fmt::format("{}, thread {}", name, tid)},
          {"kind", main ? "process" : "thread"}};
}

Json physical_location(const SourcePlace& place) {
  return {{"artifactLocation", {{"uri", uri(place.file)}, {"uriBaseId", "SRCROOT"}}},
          {"region", {{"startLine", place.line}}}};
}

// Where a finding is shown, and how that was found. GitHub's code scanning takes no result without
// a file, so there always is one.
struct Anchor {
  SourcePlace place;
  std::string_view by;
};

Anchor anchor(const model::Report& report, const model::Finding& finding, const Subject& subject) {
  if (auto place = source_place(report, finding, subject)) return {*place, "frame"};
  if (auto place = program_place(report, finding, subject)) return {*place, "program"};
  return {{"README.md", 1, {}}, "none"};
}

// Links with a place in the sources; the whole chain is among the properties.
Json chain_locations(const model::Report& report, const model::Finding& finding,
                     const Subject& subject) {
  Json list = Json::array();
  for (const model::ChainLink& link : finding.chain) {
    const auto place = thread_place(report, link.tid, subject);
    if (!place) continue;
    list.push_back(
        {{"id", list.size()},
         {"physicalLocation", physical_location(*place)},
         {"logicalLocations", Json::array({logical_location(report, link.pid, link.tid)})},
         {"message", {{"text", link_sentence(link)}}}});
  }
  return list;
}

// The frames of the chain, as the diagnosis chose them.
Json stacks(const model::Finding& finding) {
  Json list = Json::array();
  for (const model::ChainLink& link : finding.chain) {
    if (link.frames.empty()) continue;
    Json frames = Json::array();
    for (const std::string& frame : link.frames) {
      frames.push_back(
          {{"location",
            {{"logicalLocations", Json::array({{{"fullyQualifiedName", safe(frame)}}})}}},
           {"threadId", link.tid.value()}});
    }
    list.push_back({{"message", {{"text", safe(link.who)}}}, {"frames", frames}});
  }
  return list;
}

Json result(const model::Report& report, const Told& told, const Subject& subject,
            std::size_t rule_index) {
  const model::Finding& finding = *told.finding;
  const Anchor at = anchor(report, finding, subject);
  Json chain = Json::array();
  for (const model::ChainLink& link : finding.chain) chain.push_back(link_sentence(link));
  std::string text = verdict_text(told);
  if (!finding.remedy.empty()) text += "\n\nRemedy: " + safe(finding.remedy);
  Json out = {
      {"ruleId", safe(finding.rule)},
      {"ruleIndex", rule_index},
      {"level", severity_of(told) == Severity::kError ? "error" : "warning"},
      {"message", {{"text", text}}},
      {"locations",
       Json::array({{{"physicalLocation", physical_location(at.place)},
                     {"logicalLocations",
                      Json::array({logical_location(report, finding.pid, finding.tid)})}}})}};
  if (Json related = chain_locations(report, finding, subject); !related.empty()) {
    out["relatedLocations"] = std::move(related);
  }
  if (Json frames = stacks(finding); !frames.empty()) out["stacks"] = std::move(frames);
  out["partialFingerprints"] = {{"stucktraceFinding/v1", safe(finding_name(report, finding))}};
  out["properties"] = {{"certainty", to_string(finding.certainty)},
                       {"resolved", told.resolved()},
                       {"placedBy", at.by},
                       {"chain", std::move(chain)},
                       {"story", finding_story(report, told)}};
  return out;
}

// A difference, or an assertion that does not hold: where the baseline says what was expected.
Json result(const model::Comparison& comparison, const Mismatch& mismatch, const Subject& subject,
            std::size_t rule_index) {
  std::optional<SourcePlace> place;
  if (mismatch.line > 0 || mismatch.difference != nullptr) {
    place = baseline_place(comparison, mismatch.line, subject);
  }
  const SourcePlace at = place.value_or(SourcePlace{"README.md", 1, {}});
  Json out = {{"ruleId", mismatch.rule},
              {"ruleIndex", rule_index},
              {"level", "error"},
              {"message", {{"text", mismatch.story}}},
              {"locations", Json::array({{{"physicalLocation", physical_location(at)}}})}};
  out["partialFingerprints"] = {{"stucktraceComparison/v1", safe(mismatch.name)}};
  Json properties = {{"placedBy", place ? "baseline" : "none"}, {"replay", mismatch.replay}};
  if (mismatch.difference != nullptr) {
    properties["role"] = mismatch.difference->role;
    properties["expected"] = mismatch.difference->expected;
    properties["got"] = mismatch.difference->got;
  } else {
    properties["seen"] = mismatch.assertion->seen;
    if (const auto& seen_at = mismatch.assertion->place) {
      properties["role"] = seen_at->role;
      properties["call"] = seen_at->call;
      properties["at_ms"] = std::chrono::floor<std::chrono::milliseconds>(seen_at->at).count();
    }
  }
  out["properties"] = std::move(properties);
  return out;
}

std::string_view sentence_of(std::string_view rule) {
  if (rule == kDifferenceRule) return "A run does not do what its baseline says.";
  if (rule == kAssertionRule) return "An assertion about a run does not hold.";
  return rule_sentence(rule);
}

Json rule(std::string_view id) {
  const std::string name = safe(id);
  const std::string_view known = sentence_of(id);
  const std::string sentence = known.empty() ? name : std::string(known);
  const std::string help = fmt::format(
      "{} The result's message tells what to change; stucktrace replay shows the trace, if it was "
      "recorded.",
      sentence);
  return {{"id", name},
          {"shortDescription", {{"text", sentence}}},
          {"fullDescription", {{"text", sentence}}},
          {"help", {{"text", help}}}};
}

Json invocation(const model::Report& report, const Subject& subject) {
  constexpr std::size_t kCommandColumns = 1000;
  Json out = {{"executionSuccessful", subject.failure.empty()},
              {"commandLine", "stucktrace " + subject.command + " " +
                                  command_text(subject.words, kCommandColumns)},
              {"startTimeUtc", iso_time(report.taken_wall - subject.took)},
              {"endTimeUtc", iso_time(report.taken_wall)}};
  Json notes = Json::array();
  if (!subject.failure.empty()) {
    notes.push_back({{"level", "error"}, {"message", {{"text", safe(subject.failure)}}}});
  }
  if (const model::Ended* ended = cut_short(report)) {
    notes.push_back({{"level", "warning"}, {"message", {{"text", cut_short_sentence(*ended)}}}});
  }
  if (report.comparison && !report.comparison->failure.empty()) {
    notes.push_back(
        {{"level", "error"}, {"message", {{"text", comparison_sentence(*report.comparison)}}}});
  }
  if (!notes.empty()) out["toolExecutionNotifications"] = std::move(notes);
  return out;
}

}  // namespace

std::string sarif_report(const model::Report& report, const Subject& subject) {
  const std::vector<Told> findings = told_findings(report);
  std::map<std::string, std::size_t> indices;
  Json rules = Json::array();
  Json results = Json::array();
  const auto index_of = [&](std::string_view id) {
    const auto [at, fresh] = indices.try_emplace(std::string(id), rules.size());
    if (fresh) rules.push_back(rule(id));
    return at->second;
  };
  for (const Told& told : findings) {
    results.push_back(result(report, told, subject, index_of(told.finding->rule)));
  }
  if (report.comparison) {
    for (const Mismatch& each : mismatches(*report.comparison)) {
      results.push_back(result(*report.comparison, each, subject, index_of(each.rule)));
    }
  }
  const Json run = {
      {"tool",
       {{"driver",
         {{"name", "stucktrace"}, {"version", report.tool_version}, {"rules", std::move(rules)}}}}},
      {"invocations", Json::array({invocation(report, subject)})},
      {"columnKind", "unicodeCodePoints"},
      {"results", std::move(results)}};
  const Json log = {{"$schema", "https://json.schemastore.org/sarif-2.1.0.json"},
                    {"version", "2.1.0"},
                    {"runs", Json::array({run})}};
  return log.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace stucktrace::render
