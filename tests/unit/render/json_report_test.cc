#include "tracer/render/json_report.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/support/event_script.h"
#include "tests/unit/render/birth_case.h"
#include "tests/unit/render/judged_run.h"

namespace stucktrace::render {
namespace {

using base::Pid;
using base::Tid;
using nlohmann::ordered_json;
using test::EventScript;

constexpr const char* kSchema = STUCKTRACE_SOURCE_DIR "/tracer/render/report.schema.json";

// A report with every alternative of every variant in it.
model::Report full_report() {
  model::Report report = test::birth_report();
  auto snapshot = std::make_shared<model::Snapshot>(*report.snapshot);
  const model::ResourceId file{model::ResourceKind::kFileLock, 0x801, 9, 0};
  model::OnChildren group;
  group.which = model::OnChildren::Which::kGroup;
  group.selector = -7;
  model::OnFutex futex;
  futex.futex = {model::ResourceKind::kFutex, 0xfe01, 5, 8};
  futex.role = model::OnFutex::Role::kRwlockWriter;
  model::Thread& thread = snapshot->processes[1].threads[0];
  thread.wait.on = {model::OnFd{-1, file, model::FdMode::kBoth},
                    group,
                    futex,
                    model::OnTask{Pid{3}},
                    model::OnLock{file, {Pid{4}}, "POSIX WRITE 0-EOF", Pid{5}},
                    model::OnSignal{},
                    model::OnOutside{"10.1.2.3:443"},
                    model::OnUnknown{"no permission"}};
  thread.comm = "bad\xff\xfe utf8";
  thread.syscall = model::SyscallLine{{syscalls::Abi::kX86_64, 100000, {}}, 0, 0};
  thread.runtime_deadline = std::chrono::milliseconds{-5};
  model::Resource socket;
  socket.id = {model::ResourceKind::kTcpSocket, 0, 31, 0};
  socket.peer = model::ResourceId{model::ResourceKind::kTcpSocket, 0, 32, 0};
  socket.backlog = 128;
  socket.backlog_queued = 3;
  snapshot->resources[socket.id] = socket;
  report.snapshot = snapshot;
  model::FindingRecord record = test::birth_finding();
  report.history.push_back(record);
  record.resolved_at = EventScript::at_ms(1250);
  record.resolved_by = "P1 read the pipe (fd 3)";
  record.finding.announced.reset();
  record.finding.resource.reset();
  report.history.push_back(record);
  using Known = model::EndedProcess::Known;
  report.ended = model::Ended{"deadline", "it is over", std::chrono::seconds{3}};
  report.ended->processes = {
      {Pid{7}, "sh", Known::kTraced}, {Pid{8}, "gdb", Known::kBelow}, {Pid{9}, "", Known::kGroup}};
  report.comparison = test::comparison();
  report.comparison->differences[1].section_missing = true;
  return report;
}

TEST(JsonReport, OneLineInTheSchemasOrder) {
  const std::string text = json_report(full_report());
  EXPECT_EQ(text.find('\n'), text.npos);
  EXPECT_THAT(text, testing::StartsWith(R"({"schema":"stucktrace.report/1","tool":{"name":)"));
  std::vector<std::string> keys;
  const ordered_json report = ordered_json::parse(text);
  for (const auto& [key, value] : report.items()) keys.push_back(key);
  EXPECT_THAT(
      keys, testing::ElementsAre("schema", "tool", "taken_at", "host", "look", "could_not_see",
                                 "ways_in", "trees", "processes", "resources", "edges", "findings",
                                 "history", "ended", "comparison"));
}

TEST(JsonReport, HasTheWholeStory) {
  const ordered_json report = ordered_json::parse(json_report(full_report()));
  EXPECT_EQ(report["taken_at"], "2026-03-01T12:00:05.250Z");
  EXPECT_EQ(report["host"]["system"], "Linux 6.1.0 x86_64");
  const auto& wait = report["processes"][0]["threads"][0]["wait"];
  EXPECT_EQ(wait["kind"], "multiplex");
  EXPECT_EQ(wait["syscall"], "poll");
  EXPECT_EQ(wait["args"], (std::vector<std::string>{"0x7100", "0x1", "0x1388"}));
  EXPECT_EQ(wait["resource"], "pipe:25730");
  EXPECT_EQ(wait["timeout_ms"], 5000);
  EXPECT_EQ(report["processes"][0]["threads"][0]["since_ms"], 1200);
  EXPECT_EQ(report["processes"][0]["threads"][0]["verdict"], "stuck");
  EXPECT_EQ(report["processes"][1]["threads"][0]["comm"], "bad\xef\xbf\xbd\xef\xbf\xbd utf8");
  EXPECT_EQ(report["processes"][1]["threads"][0]["wait"]["syscall"], "syscall_100000");
  EXPECT_EQ(report["processes"][1]["threads"][0]["wait"]["on"].size(), 8U);
  EXPECT_EQ(report["processes"][1]["threads"][0]["wait"]["on"][5]["type"], "signal");

  const auto& pipe = report["resources"][0];
  EXPECT_EQ(pipe["id"], "pipe:25725");
  EXPECT_EQ(pipe["capacity"], 65536);
  EXPECT_EQ(pipe["full"], true);
  EXPECT_TRUE(pipe["readable"].is_null());
  EXPECT_EQ(pipe["unknown"]["readable"], "not asked");
  EXPECT_EQ(pipe["readers"].size(), 2U);
  EXPECT_EQ(pipe["writers"][0]["pid"], 4712);
  EXPECT_EQ(pipe["writers"][0]["fd"], 4);

  EXPECT_EQ(report["edges"][0]["to"], (std::vector<int>{4712, 4714}));
  EXPECT_EQ(report["edges"][0]["timer_ms"], 3800);
  EXPECT_TRUE(report["edges"][1]["timer_ms"].is_null());

  const auto& finding = report["findings"][0];
  EXPECT_EQ(finding["rule"], "pipe-full-after-announce");
  EXPECT_EQ(finding["certainty"], "until");
  EXPECT_EQ(finding["cycle"], (std::vector<int>{4711, 4712, 4714}));
  EXPECT_EQ(finding["resolves_in_ms"], 3800);
  EXPECT_EQ(finding["announced"]["text"], "All done! Goodbye!");
  EXPECT_EQ(finding["announced"]["at_ms"], -1158);
  EXPECT_EQ(finding["chain"].size(), 3U);

  EXPECT_TRUE(report["history"][0]["resolved_at_ms"].is_null());
  EXPECT_EQ(report["history"][0]["stalled_ms"], 1159);
  EXPECT_EQ(report["history"][1]["resolved_at_ms"], -12);
  EXPECT_EQ(report["history"][1]["stalled_ms"], 1147);
  EXPECT_EQ(report["history"][1]["resolved_by"], "P1 read the pipe (fd 3)");
}

TEST(JsonReport, EmptyReportIsComplete) {
  const ordered_json report = ordered_json::parse(json_report(model::Report{}));
  for (const char* list : {"processes", "resources", "edges", "findings", "history"}) {
    EXPECT_TRUE(report[list].is_array()) << list;
    EXPECT_TRUE(report[list].empty()) << list;
  }
  EXPECT_EQ(report["taken_at"], "1970-01-01T00:00:00.000Z");
}

// The part of JSON Schema our schema uses for objects: no key may be missing or unknown, enums
// hold. Does the strict check where no validator is installed.
class Structure {
 public:
  explicit Structure(ordered_json schema) : schema_(std::move(schema)) {}

  std::vector<std::string> errors(const ordered_json& report) {
    errors_.clear();
    check(report, schema_, "");
    return errors_;
  }

 private:
  void check(const ordered_json& value, const ordered_json& rule, const std::string& path) {
    if (rule.contains("$ref")) {
      const std::string name =
          rule["$ref"].get<std::string>().substr(std::string("#/$defs/").size());
      return check(value, schema_["$defs"][name], path);
    }
    if (rule.contains("oneOf")) {
      std::size_t matches = 0;
      for (const auto& option : rule["oneOf"]) {
        Structure part(schema_);
        part.check(value, option, path);
        matches += part.errors_.empty() ? 1 : 0;
      }
      if (matches != 1) errors_.push_back(path + ": matches " + std::to_string(matches));
      return;
    }
    if (rule.contains("const") && rule["const"] != value) errors_.push_back(path + ": const");
    if (rule.contains("enum") && std::ranges::count(rule["enum"], value) == 0) {
      errors_.push_back(path + ": enum");
    }
    if (rule.contains("type") && !has_type(value, rule["type"])) errors_.push_back(path + ": type");
    if (value.is_array() && rule.contains("items")) {
      for (const auto& item : value) check(item, rule["items"], path + "[]");
    }
    if (!value.is_object() || !rule.contains("properties")) return;
    for (const auto& [key, member] : value.items()) {
      if (!rule["properties"].contains(key)) {
        errors_.push_back(fmt::format("{}.{}: unknown", path, key));
      } else {
        check(member, rule["properties"][key], fmt::format("{}.{}", path, key));
      }
    }
    if (!rule.contains("required")) return;
    for (const auto& key : rule["required"]) {
      if (!value.contains(key.get<std::string>()))
        errors_.push_back(path + ": lacks " + key.dump());
    }
  }

  static bool has_type(const ordered_json& value, const ordered_json& types) {
    if (types.is_array()) {
      return std::ranges::any_of(types, [&](const auto& type) { return has_type(value, type); });
    }
    const auto name = types.get<std::string>();
    return (name == "null" && value.is_null()) || (name == "string" && value.is_string()) ||
           (name == "integer" && value.is_number_integer()) ||
           (name == "boolean" && value.is_boolean()) || (name == "array" && value.is_array()) ||
           (name == "object" && value.is_object());
  }

  ordered_json schema_;
  std::vector<std::string> errors_;
};

ordered_json schema() {
  std::ifstream file(kSchema);
  return ordered_json::parse(file);
}

TEST(JsonReport, FollowsTheSchemasStructure) {
  Structure structure(schema());
  for (const model::Report& report : {full_report(), test::birth_report(), model::Report{}}) {
    EXPECT_THAT(structure.errors(ordered_json::parse(json_report(report))), testing::IsEmpty());
  }
  ordered_json wrong = ordered_json::parse(json_report(full_report()));
  wrong["findings"][0]["surprise"] = 1;
  wrong["edges"][0].erase("why");
  wrong["processes"][0]["threads"][0]["wait"]["kind"] = "daydream";
  EXPECT_EQ(structure.errors(wrong).size(), 3U);
}

TEST(JsonReport, EveryWordOfTheModelIsInTheSchema) {
  const ordered_json words = schema()["$defs"];
  const auto has = [](const ordered_json& list, std::string_view word) {
    return std::ranges::count(list, ordered_json(word)) == 1;
  };
  for (int kind = 0; kind <= static_cast<int>(model::WaitKind::kOther); ++kind) {
    const auto word = to_string(static_cast<model::WaitKind>(kind));
    EXPECT_TRUE(has(words["wait"]["properties"]["kind"]["enum"], word)) << word;
  }
  for (int kind = 0; kind <= static_cast<int>(model::ResourceKind::kSysvQueue); ++kind) {
    const auto word = model::kind_word(static_cast<model::ResourceKind>(kind));
    EXPECT_TRUE(has(words["resource"]["properties"]["kind"]["enum"], word)) << word;
  }
}

struct Validation {
  int status = -1;
  std::string output;
};

Validation validate(const std::string& reports) {
  const std::string input = testing::TempDir() + "stucktrace_reports.ndjson";
  std::ofstream(input) << reports;
  const std::string command =
      fmt::format("python3 '{}/tests/unit/render/validate_report.py' '{}' < '{}' 2>&1",
                  STUCKTRACE_SOURCE_DIR, kSchema, input);
  Validation result;
  FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return result;
  char buffer[4096];
  while (const std::size_t got = ::fread(buffer, 1, sizeof buffer, pipe)) {
    result.output.append(buffer, got);
  }
  const int status = ::pclose(pipe);
  result.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return result;
}

// Two calls from one place, one that is open from another, one without a stack.
std::string report_with_call_stacks() {
  test::EventScript script;
  script.seen(0, 10, 10, {});
  for (const double ms : {1.0, 2.0}) {
    script.enter(ms, 10, 10, "close", {7}).stack(ms, 10, 10, {"close", "tidy", "main"});
    script.exit(ms + 0.25, 10, 10, "close", {7}, 0);
  }
  script.enter(3, 10, 10, "close", {8}).exit(3.5, 10, 10, "close", {8}, 0);
  script.enter(4, 10, 10, "pause", {}).stack(4, 10, 10, {"pause", "main"});
  TraceLanes lanes(test::EventScript::kStart);
  for (const model::Event& event : script.events()) lanes.on_event(event);
  lanes.close();
  model::Report report;
  report.taken_at = test::EventScript::at_ms(4);
  return json_report(report, &lanes);
}

TEST(JsonReport, CallsHaveTheirStacks) {
  const ordered_json taken = ordered_json::parse(report_with_call_stacks())["call_stacks"];
  ASSERT_EQ(taken["calls"].size(), 3U);
  EXPECT_EQ(taken["calls"][0]["tid"], 10);
  EXPECT_THAT(taken["calls"][0]["call"].get<std::string>(), testing::StartsWith("close("));
  EXPECT_EQ(taken["calls"][0]["at_ms"], -3.0);
  EXPECT_EQ(taken["calls"][0]["took_ms"], 0.25);
  EXPECT_EQ(taken["calls"][1]["stack"], taken["calls"][0]["stack"]);
  EXPECT_EQ(taken["calls"][2]["open"], true);
  ASSERT_EQ(taken["stacks"].size(), 2U);
  EXPECT_EQ(taken["stacks"][0]["stack"][1]["function"], "tidy");
  EXPECT_EQ(taken["left_out"], 0);

  TraceLanes none(test::EventScript::kStart);
  none.close();
  EXPECT_FALSE(ordered_json::parse(json_report(model::Report{}, &none)).contains("call_stacks"));
}

TEST(JsonReport, ValidatesAgainstTheSchema) {
  const Validation good =
      validate(json_report(full_report()) + "\n" + json_report(test::birth_report()) + "\n" +
               json_report(model::Report{}) + "\n" + report_with_call_stacks() + "\n");
  if (good.status == 77 || good.status == 127) GTEST_SKIP() << good.output;
  EXPECT_EQ(good.status, 0) << good.output;
  ordered_json wrong = ordered_json::parse(json_report(full_report()));
  wrong["findings"][0]["rule"] = "Not A Rule";
  EXPECT_EQ(validate(wrong.dump() + "\n").status, 1);
}

}  // namespace
}  // namespace stucktrace::render
