// JUnit, SARIF, Markdown and the marks in a job's log: what they say of one report, and that
// nothing a tracee calls itself gets out of its place.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/unit/render/hostile.h"
#include "tracer/render/annotations.h"
#include "tracer/render/finding_place.h"
#include "tracer/render/junit_report.h"
#include "tracer/render/markdown_report.h"
#include "tracer/render/sarif_report.h"

namespace stucktrace::render {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

Subject subject() {
  return {"run", {"python3", "hang.py"}, std::chrono::milliseconds{1262}, "", "/src"};
}

model::Report calm_report() {
  model::Report report;
  report.tool_version = "0.1.0";
  report.host = "Linux 6.1.0 x86_64";
  report.taken_wall = std::chrono::seconds{1'772'366'405};
  return report;
}

// The birth case after its end: nothing is stuck any more.
model::Report resolved_report() {
  model::Report report = test::birth_report();
  report.diagnosis.findings.clear();
  model::FindingRecord record = test::birth_finding();
  record.resolved_at = test::EventScript::at_ms(5063);
  record.resolved_by = "P1 read the pipe (fd 3)";
  report.history = {record};
  return report;
}

model::Report with_source(std::string file) {
  model::Report report = test::birth_report();
  auto snapshot = std::make_shared<model::Snapshot>(*report.snapshot);
  snapshot->processes[1].threads[1].python = {
      {"_send", "/usr/lib/python3.11/multiprocessing/connection.py", 384}};
  snapshot->processes[0].threads[0].python = {{"join", "<frozen x>", 3},
                                              {"main", std::move(file), 21}};
  report.snapshot = snapshot;
  return report;
}

std::size_t count(std::string_view text, std::string_view what) {
  std::size_t found = 0;
  for (std::size_t at = text.find(what); at != text.npos; at = text.find(what, at + 1)) ++found;
  return found;
}

// Nothing was found to be stuck when the tree was ended.
model::Report ended_report(std::string because) {
  model::Report report = calm_report();
  report.ended = model::Ended{std::move(because), "the <time> is over", std::nullopt};
  return report;
}

// ---- JUnit --------------------------------------------------------------------------------------

TEST(Junit, NothingStuckIsOnePassedTest) {
  const std::string xml = junit_report(calm_report(), subject());
  EXPECT_THAT(xml,
              HasSubstr("<testsuite name=\"stucktrace\" tests=\"1\" failures=\"0\" errors=\"0\" "
                        "skipped=\"0\" time=\"1.262\" timestamp=\"2026-03-01T12:00:03\" "));
  EXPECT_THAT(xml, HasSubstr("<testcase classname=\"stucktrace\" name=\"nothing is stuck\" "
                             "time=\"1.262\"/>"));
  EXPECT_THAT(xml, HasSubstr("value=\"run python3 hang.py\""));
}

TEST(Junit, AFindingIsAFailureWithItsStory) {
  const std::string xml = junit_report(test::birth_report(), subject());
  EXPECT_THAT(xml, HasSubstr("tests=\"1\" failures=\"1\" errors=\"0\""));
  EXPECT_THAT(xml, HasSubstr("name=\"pipe-full-after-announce: P2 python3\" time=\"1.200\""));
  EXPECT_THAT(xml, HasSubstr("<failure type=\"pipe-full-after-announce (until)\" message=\"STUCK "
                             "until its time-out"));
  EXPECT_THAT(xml, HasSubstr("▼ waits for"));
  EXPECT_THAT(xml, HasSubstr("Remedy"));
  EXPECT_THAT(xml, HasSubstr("could not see: "));
}

TEST(Junit, WhatIsOverStaysAFailure) {
  const std::string xml = junit_report(resolved_report(), subject());
  EXPECT_THAT(xml, HasSubstr("failures=\"1\""));
  EXPECT_THAT(xml, HasSubstr("message=\"WAS STUCK for 5 s, until P1 read the pipe (fd 3)."));
  EXPECT_THAT(xml, HasSubstr("time=\"4.960\""));
}

TEST(Junit, EqualNamesAreTold) {
  model::Report report = test::birth_report();
  report.diagnosis.findings.push_back(report.diagnosis.findings.front());
  const std::string xml = junit_report(report, subject());
  EXPECT_EQ(count(xml, "name=\"pipe-full-after-announce: P2 python3\""), 1U);
  EXPECT_EQ(count(xml, "name=\"pipe-full-after-announce: P2 python3 (2)\""), 1U);
}

TEST(Junit, ATraceCutShortIsAnError) {
  Subject cut = subject();
  cut.failure = "the recorder's <disk> is full";
  const std::string xml = junit_report(calm_report(), cut);
  EXPECT_THAT(xml, HasSubstr("tests=\"1\" failures=\"0\" errors=\"1\""));
  EXPECT_THAT(xml, HasSubstr("message=\"the recorder&#39;s &lt;disk&gt; is full\""));
  EXPECT_THAT(xml, Not(HasSubstr("nothing is stuck")));
}

// A step that was cut short has not passed.
TEST(Junit, AnEndByALimitIsAnErrorWithTheStacks) {
  const std::string xml = junit_report(ended_report("deadline"), subject());
  EXPECT_THAT(xml, HasSubstr("tests=\"1\" failures=\"0\" errors=\"1\""));
  EXPECT_THAT(xml, HasSubstr("name=\"ended: deadline\" time=\"1.262\">"));
  EXPECT_THAT(xml,
              HasSubstr("<error type=\"deadline\" message=\"Ended by stucktrace: the &lt;time&gt; "
                        "is over.\">Ended by stucktrace"));
  EXPECT_THAT(xml, Not(HasSubstr("nothing is stuck")));
  // With findings these tell.
  model::Report found = test::birth_report();
  found.ended = ended_report("idle").ended;
  const std::string both = junit_report(found, subject());
  EXPECT_THAT(both, HasSubstr("tests=\"2\" failures=\"1\" errors=\"1\""));
  EXPECT_THAT(both, HasSubstr("is over.\"></error>"));
}

TEST(Junit, OtherEndsAreNoError) {
  for (const char* because : {"fail-on", "orphans"}) {
    const std::string xml = junit_report(ended_report(because), subject());
    EXPECT_THAT(xml, HasSubstr("tests=\"1\" failures=\"0\" errors=\"0\"")) << because;
  }
}

// What the schemas of Jenkins' xUnit and of Apache Ant have in common.
TEST(Junit, HasTheFormBothSchemasAskFor) {
  for (const model::Report& report :
       {calm_report(), test::birth_report(), resolved_report(), ended_report("cancelled")}) {
    const std::string xml = junit_report(report, subject());
    EXPECT_THAT(xml, HasSubstr("\n<testsuites>\n  <testsuite name="));
    EXPECT_THAT(xml, HasSubstr("\" hostname=\"localhost\" id=\"0\" package=\"stucktrace\">\n"
                               "    <properties>\n"));
    std::size_t last = 0;
    for (const char* part : {"<properties>", "</properties>", "<testcase ", "<system-out>",
                             "</system-out>\n    <system-err/>\n  </testsuite>\n</testsuites>\n"}) {
      EXPECT_EQ(count(xml, part),
                std::string_view{part} == "<testcase " ? count(xml, " classname=") : 1U)
          << part;
      const std::size_t at = xml.rfind(part);
      EXPECT_GE(at, last) << part;
      last = at;
    }
  }
}

TEST(Junit, HostileNames) {
  const std::string xml = junit_report(test::hostile_report(), subject());
  EXPECT_EQ(count(xml, "</failure>"), 1U);
  EXPECT_THAT(xml, Not(HasSubstr("<b>")));
  EXPECT_THAT(xml, Not(HasSubstr("\xef\xbf\xbe")));
  for (const char byte : xml) EXPECT_TRUE(byte == '\n' || (byte & 0xe0) != 0) << int{byte};
}

// ---- SARIF --------------------------------------------------------------------------------------

TEST(Sarif, AResultWithItsPlace) {
  const json log = json::parse(sarif_report(with_source("/src/app/my hang.py"), subject()));
  EXPECT_EQ(log["version"], "2.1.0");
  const json& run = log["runs"][0];
  EXPECT_EQ(run["tool"]["driver"]["name"], "stucktrace");
  EXPECT_EQ(run["tool"]["driver"]["rules"][0]["id"], "pipe-full-after-announce");
  EXPECT_EQ(run["invocations"][0]["executionSuccessful"], true);
  EXPECT_EQ(run["invocations"][0]["startTimeUtc"], "2026-03-01T12:00:03.988Z");
  const json& result = run["results"][0];
  EXPECT_EQ(result["ruleId"], "pipe-full-after-announce");
  EXPECT_EQ(result["ruleIndex"], 0);
  EXPECT_EQ(result["level"], "error");
  const json& place = result["locations"][0]["physicalLocation"];
  EXPECT_EQ(place["artifactLocation"]["uri"], "app/my%20hang.py");
  EXPECT_EQ(place["region"]["startLine"], 21);
  EXPECT_EQ(result["locations"][0]["logicalLocations"][0]["name"], "P2 python3, thread 4714");
  EXPECT_EQ(result["properties"]["placedBy"], "frame");
  // The link with frames of the sources; all links are in the chain.
  ASSERT_EQ(result["relatedLocations"].size(), 1U);
  EXPECT_EQ(result["relatedLocations"][0]["physicalLocation"]["region"]["startLine"], 21);
  ASSERT_EQ(result["properties"]["chain"].size(), 3U);
  EXPECT_THAT(std::string(result["properties"]["chain"][2]), HasSubstr("thread 4714"));
  EXPECT_THAT(std::string(run["tool"]["driver"]["rules"][0]["fullDescription"]["text"]),
              HasSubstr("full pipe"));
  EXPECT_EQ(
      result["stacks"][0]["frames"][0]["location"]["logicalLocations"][0]["fullyQualifiedName"],
      "popen_fork.py:40 wait");
  EXPECT_EQ(result["partialFingerprints"]["stucktraceFinding/v1"],
            "pipe-full-after-announce: P2 python3");
}

TEST(Sarif, EveryResultHasAFile) {
  const auto place = [](std::string exe, std::vector<std::string> argv) {
    model::Report report = test::birth_report();
    auto snapshot = std::make_shared<model::Snapshot>(*report.snapshot);
    for (model::Process& process : snapshot->processes) {
      process.exe = exe;
      process.argv = argv;
      for (model::Thread& thread : process.threads) {
        thread.python.clear();
        thread.stack.clear();
      }
    }
    report.snapshot = snapshot;
    const json log = json::parse(sarif_report(report, subject()));
    const json& result = log["runs"][0]["results"][0];
    EXPECT_FALSE(result.contains("relatedLocations"));
    EXPECT_EQ(result["locations"][0]["physicalLocation"]["region"]["startLine"], 1);
    EXPECT_TRUE(result["locations"][0].contains("logicalLocations"));
    return fmt::format(
        "{} {}", std::string(result["properties"]["placedBy"]),
        std::string(result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]));
  };
  EXPECT_EQ(place("/usr/bin/python3", {"python3", "-u", "/src/a/hang.py", "x.py"}),
            "program a/hang.py");
  EXPECT_EQ(place("/usr/bin/python3", {"python3", "hang.py"}), "program hang.py");
  EXPECT_EQ(place("/src/build/prog", {"prog"}), "program build/prog");
  EXPECT_EQ(place("/usr/bin/sh", {"sh", "-c", "a.sh"}), "none README.md");
  EXPECT_EQ(place("/usr/bin/cat", {"cat", "word"}), "none README.md");
  EXPECT_EQ(place("/usr/bin/python3", {"python3", "../hang.py"}), "none README.md");
  EXPECT_EQ(place("", {}), "none README.md");
}

TEST(Sarif, NothingStuckHasNoResults) {
  const json log = json::parse(sarif_report(calm_report(), subject()));
  EXPECT_TRUE(log["runs"][0]["results"].empty());
  EXPECT_TRUE(log["runs"][0]["results"].is_array());
}

TEST(Sarif, OverIsAWarningAndACutTraceIsSaid) {
  Subject cut = subject();
  cut.failure = "killed";
  const json log = json::parse(sarif_report(resolved_report(), cut));
  EXPECT_EQ(log["runs"][0]["results"][0]["level"], "warning");
  EXPECT_EQ(log["runs"][0]["invocations"][0]["executionSuccessful"], false);
  EXPECT_EQ(log["runs"][0]["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"],
            "killed");
}

TEST(Sarif, AnEndByALimitIsANotification) {
  const json log = json::parse(sarif_report(ended_report("deadline"), subject()));
  const json& invocation = log["runs"][0]["invocations"][0];
  EXPECT_EQ(invocation["executionSuccessful"], true);
  ASSERT_EQ(invocation["toolExecutionNotifications"].size(), 1U);
  EXPECT_EQ(invocation["toolExecutionNotifications"][0]["level"], "warning");
  EXPECT_EQ(invocation["toolExecutionNotifications"][0]["message"]["text"],
            "Ended by stucktrace: the <time> is over.");
  const json other = json::parse(sarif_report(ended_report("fail-on"), subject()));
  EXPECT_FALSE(other["runs"][0]["invocations"][0].contains("toolExecutionNotifications"));
}

TEST(Sarif, HostileNamesStayStrings) {
  const json log = json::parse(sarif_report(test::hostile_report(), subject()));
  const std::string uri =
      log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
  EXPECT_EQ(uri.find_first_of(" <>\"`\n\x01"), uri.npos) << uri;
}

// ---- places and names ---------------------------------------------------------------------------

TEST(FindingPlace, IsTheInnermostFrameOfTheSources) {
  const auto place = [](std::string file, std::string root) {
    Subject about = subject();
    about.source_root = std::move(root);
    const model::Report report = with_source(std::move(file));
    const auto found = source_place(report, report.diagnosis.findings[0], about);
    return found ? fmt::format("{}:{} {}", found->file, found->line, found->function)
                 : std::string("none");
  };
  EXPECT_EQ(place("/src/app/hang.py", "/src"), "app/hang.py:21 main");
  EXPECT_EQ(place("/src/app/hang.py", "/src/"), "app/hang.py:21 main");
  EXPECT_EQ(place("./hang.py", "/src"), "hang.py:21 main");
  EXPECT_EQ(place("/source/hang.py", "/src"), "none");
  EXPECT_EQ(place("/src/build/dev/../../app/hang.py", "/src"), "app/hang.py:21 main");
  EXPECT_EQ(place("/src/../hang.py", "/src"), "none");
  EXPECT_EQ(place("../hang.py", "/src"), "none");
  EXPECT_EQ(place("/src/venv/lib/python3.11/site-packages/x.py", "/src"), "none");
  EXPECT_EQ(place("/src/hang.py", ""), "none");
  EXPECT_EQ(place("/src/lib/python/x.py", "/src"), "lib/python/x.py:21 main");
  EXPECT_EQ(place("/src/mylib/python3/x.py", "/src"), "mylib/python3/x.py:21 main");
  EXPECT_EQ(place("/src/env/lib64/python3.12/x.py", "/src"), "none");
  for (const char* nowhere : {".", "./", "a/..", "..", "a/../..", "/", "/src", "/src/."}) {
    EXPECT_EQ(place(nowhere, "/src"), "none") << nowhere;
  }
}

TEST(FindingPlace, OfNativeFrames) {
  const auto place = [](std::string module, std::string file, std::string root = "/src") {
    Subject about = subject();
    about.source_root = std::move(root);
    model::Report report = test::birth_report();
    auto snapshot = std::make_shared<model::Snapshot>(*report.snapshot);
    for (model::Process& process : snapshot->processes) {
      for (model::Thread& thread : process.threads) {
        thread.python.clear();
        thread.stack = {{0x7f01, "work", module, 0x4f, file, 12}};
      }
    }
    report.snapshot = snapshot;
    const auto found = source_place(report, report.diagnosis.findings[0], about);
    return found ? found->file : "none";
  };
  EXPECT_EQ(place("/src/build/prog", "/src/lib/a.cc"), "lib/a.cc");
  EXPECT_EQ(place("/src/build/prog", "../../lib/a.cc"), "lib/a.cc");
  EXPECT_EQ(place("/src/build/prog", "/elsewhere/a.cc"), "none");
  EXPECT_EQ(place("/usr/lib/x86_64-linux-gnu/libc.so.6", "./nptl/futex.c"), "none");
  EXPECT_EQ(place("[vdso]", "a.c"), "none");
  EXPECT_EQ(place("/src/build/prog", "../.."), "none");
  EXPECT_EQ(place("/src/build/prog", ".."), "none");
  EXPECT_EQ(place("/library/prog", "a.cc"), "a.cc");
  EXPECT_EQ(place("/usr/local/src/job/build/prog", "../a.cc"), "a.cc");
  EXPECT_EQ(place("/usr/src/job/prog", "/usr/src/job/a.cc", "/usr/src/job"), "a.cc");
  EXPECT_EQ(place("/usr/share/job/prog", "a.cc", "/usr/share/job"), "a.cc");
  EXPECT_EQ(place("/usr/lib/libjob.so", "/src/a.cc"), "a.cc");
}

TEST(FindingPlace, RulesAreKnown) {
  EXPECT_THAT(std::string(rule_sentence("pipe-full")), HasSubstr("full pipe"));
  EXPECT_EQ(rule_sentence("no-such-rule"), "");
}

// ---- Markdown -----------------------------------------------------------------------------------

TEST(Markdown, TellsVerdictChainAndRemedy) {
  const std::string text = markdown_report(with_source("/src/hang.py"), subject());
  EXPECT_THAT(text, HasSubstr("### stucktrace run ` python3 hang.py `\n"));
  EXPECT_THAT(text, HasSubstr("#### 🔴 ` pipe-full-after-announce `\n\nSTUCK until its time"));
  EXPECT_THAT(text, HasSubstr("At ` hang.py:21 `"));
  EXPECT_THAT(text, HasSubstr("\n3. P2 python3 \\(pid 4712\\), thread 4714"));
  EXPECT_THAT(text, HasSubstr("… and 3 waits for 1: a cycle."));
  EXPECT_THAT(text, HasSubstr("**Remedy:** Read from the queue"));
  EXPECT_THAT(text, HasSubstr("<details><summary>The whole story</summary>\n\n```text\n"));
}

TEST(Markdown, OneLineWhereNothingIsStuck) {
  EXPECT_EQ(markdown_report(calm_report(), subject()),
            "### stucktrace run ` python3 hang.py `\n\n🟢 Nothing is stuck.\n\n");
}

TEST(Markdown, AnEndByALimitComesFirst) {
  const std::string text = markdown_report(ended_report("deadline"), subject());
  EXPECT_THAT(text, HasSubstr("hang.py `\n\n🔴 Ended by stucktrace: the &lt;time&gt; is over.\n\n"
                              "Nothing is stuck.\n\n<details>"));
  EXPECT_THAT(text, Not(HasSubstr("🟢")));
  EXPECT_THAT(text, HasSubstr("```text\nEnded by stucktrace: the <time> is over.\n"));
}

TEST(Markdown, StaysBelowItsLimit) {
  model::Report report = test::birth_report();
  const model::Finding finding = report.diagnosis.findings.front();
  for (int i = 0; i < 9; ++i) report.diagnosis.findings.push_back(finding);
  report.could_not_see.assign(100, std::string(1000, 'x'));
  const std::string whole = markdown_report(report, subject());
  EXPECT_EQ(count(whole, "#### "), 10U);
  EXPECT_EQ(count(whole, "more findings"), 0U);
  const std::string one = markdown_report(test::birth_report(), subject());
  const std::string cut = markdown_report(report, subject(), 3 * one.size());
  EXPECT_LE(cut.size(), 3 * one.size());
  EXPECT_GE(count(cut, "#### "), 2U);
  EXPECT_EQ(count(cut, "<details>"), count(cut, "</details>"));
  EXPECT_THAT(cut, HasSubstr(fmt::format("… and {} more findings", 10 - count(cut, "#### "))));
  // Of a story that does not fit the verdict is told.
  const std::string brief = markdown_report(test::birth_report(), subject(), one.size() - 300);
  EXPECT_LE(brief.size(), one.size() - 300);
  EXPECT_EQ(count(brief, "#### "), 1U);
  EXPECT_EQ(count(brief, "<details>"), 0U);
}

TEST(Markdown, HostileNames) {
  const std::string text = markdown_report(test::hostile_report(), subject());
  // Headings, chain and remedy, outside of the code: no tag, no link, and one fence.
  const std::size_t story = text.find("<details>");
  const std::string outside = text.substr(0, story);
  EXPECT_EQ(count(outside, "</details>"), 2U);  // in the code of command and rule
  EXPECT_EQ(count(text, "\n</details>"), 1U);
  EXPECT_EQ(count(text, "\n```"), 2U);
  // Raw text stands in code alone.
  EXPECT_EQ(count(text, "\n::error::"), 0U);
}

// ---- logs ---------------------------------------------------------------------------------------

TEST(Annotations, OneLineAFinding) {
  const std::string lines = github_annotations(with_source("/src/hang.py"), subject());
  EXPECT_EQ(count(lines, "\n"), 2U);  // the first ends a line that others left open
  EXPECT_THAT(lines, testing::StartsWith(
                         "\n::error file=hang.py,line=21,title=stucktrace%3A "
                         "pipe-full-after-announce%3A P2 python3::STUCK until its time-out"));
  EXPECT_THAT(lines, HasSubstr("%0A↳ P1 python3 (pid 4711) waits for P2"));
  EXPECT_THAT(lines, HasSubstr("%0ARemedy: "));
  EXPECT_THAT(github_annotations(resolved_report(), subject()),
              testing::StartsWith("\n::warning "));
  EXPECT_EQ(github_annotations(calm_report(), subject()), "");
}

TEST(Annotations, AnEndByALimitIsAnError) {
  EXPECT_EQ(github_annotations(ended_report("deadline"), subject()),
            "\n::error title=stucktrace%3A deadline::Ended by stucktrace: the <time> is over.\n");
  EXPECT_EQ(github_annotations(ended_report("orphans"), subject()), "");
}

TEST(Annotations, OfALongChainTheBeginning) {
  model::Report report = test::birth_report();
  model::Finding& finding = report.diagnosis.findings.front();
  finding.chain.resize(300, finding.chain.front());
  const std::string lines = github_annotations(report, subject());
  EXPECT_EQ(count(lines, "%0A↳ "), 20U);
  EXPECT_THAT(lines, HasSubstr("%0A… and 280 more%0ARemedy: "));
}

TEST(Annotations, HostileNamesAreOneCommand) {
  const std::string lines = github_annotations(test::hostile_report(), subject());
  EXPECT_EQ(count(lines, "\n"), 2U);
  EXPECT_EQ(count(lines, "\r"), 0U);
  EXPECT_EQ(count(lines, "\x1b"), 0U);
  // Colons of the names are escaped: the first :: after the command ends its properties.
  const std::string properties = lines.substr(9, lines.find("::", 3) - 9);
  EXPECT_EQ(count(properties, ":"), 0U) << properties;
  EXPECT_EQ(count(properties, "title="), 1U) << properties;
}

TEST(Annotations, GitlabSection) {
  EXPECT_EQ(gitlab_section("report", "stuck\n", "text\n", std::chrono::milliseconds{12'345}),
            "\x1b[0Ksection_start:12:report\r\x1b[0Kstuck\\n\ntext\n"
            "\x1b[0Ksection_end:12:report\r\x1b[0K\n");
}

}  // namespace
}  // namespace stucktrace::render
