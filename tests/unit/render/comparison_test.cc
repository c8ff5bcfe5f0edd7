// What a run was judged by, in every format: nothing that failed may look as if it had passed.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tests/unit/render/hostile.h"
#include "tests/unit/render/judged_run.h"
#include "tracer/render/annotations.h"
#include "tracer/render/comparison_text.h"
#include "tracer/render/escape.h"
#include "tracer/render/html_report.h"
#include "tracer/render/json_report.h"
#include "tracer/render/junit_report.h"
#include "tracer/render/markdown_report.h"
#include "tracer/render/sarif_report.h"

namespace stucktrace::render {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

Subject subject() {
  return {"run", {"sh", "build.sh"}, std::chrono::milliseconds{1262}, "", "/src"};
}

model::Comparison passed_comparison() {
  model::Comparison out = test::comparison();
  out.differences.clear();
  out.assertions.pop_back();
  return out;
}

model::Report report_with(model::Comparison what) {
  model::Report report;
  report.tool_version = "0.1.0";
  report.host = "Linux 6.1.0 x86_64";
  report.taken_wall = std::chrono::seconds{1'772'366'405};
  report.comparison = std::move(what);
  return report;
}

std::size_t count(std::string_view text, std::string_view what) {
  std::size_t found = 0;
  for (std::size_t at = text.find(what); at != text.npos; at = text.find(what, at + 1)) ++found;
  return found;
}

// ---- words --------------------------------------------------------------------------------------

TEST(Comparison, NamesAreUniqueAndWithoutPlaces) {
  const model::Comparison what = test::comparison();
  std::vector<std::string> names;
  for (const Mismatch& each : mismatches(what)) names.push_back(each.name);
  EXPECT_THAT(names, ElementsAre("baseline: P3 (sort)", "baseline: P3 (sort) (2)",
                                 "baseline: P5 (cat)", "assert: opens <= 2"));
}

TEST(Comparison, AStoryTellsWhatWhereAndHowToReplayIt) {
  const model::Comparison what = test::comparison();
  const auto all = mismatches(what);
  EXPECT_EQ(all[0].story,
            "P3 (sort) differs (line 27)\n"
            "  - writes a pipe to P4\n"
            "  - exits 0\n"
            "  + killed by SIGPIPE\n"
            "  in      /src/golden/build.golden\n"
            "  replay  stucktrace compare /src/golden/build.golden run.rec\n");
  EXPECT_EQ(all[3].story,
            "does not hold: opens <= 2 (/src/golden/build.golden, line 9)\n"
            "  seen    3 of them\n"
            "  at      0.012 s, P1: openat(\"x\")\n"
            "  replay  stucktrace replay -e trace=open,openat run.rec\n");
}

TEST(Comparison, WhatWasNotRecordedIsRecordedFirst) {
  model::Comparison what = test::comparison();
  what.recording.clear();
  const auto all = mismatches(what);
  EXPECT_EQ(all[0].replay,
            "run it with -o FILE, then: stucktrace compare /src/golden/build.golden FILE");
  EXPECT_EQ(all[3].replay,
            "run it with -o FILE, then: stucktrace replay -e trace=open,openat FILE");
}

TEST(Comparison, OneSentence) {
  EXPECT_EQ(comparison_sentence(test::comparison()),
            "Differs from /src/golden/build.golden in 3 places; 1 of 2 assertions does not hold.");
  EXPECT_EQ(comparison_sentence(passed_comparison()),
            "Does not differ from /src/golden/build.golden; 1 assertion holds.");
  model::Comparison alone = test::comparison();
  alone.baseline.clear();
  alone.differences.clear();
  EXPECT_EQ(comparison_sentence(alone), "1 of 2 assertions does not hold.");
  model::Comparison updated = passed_comparison();
  updated.updated = true;
  updated.assertions.clear();
  EXPECT_EQ(comparison_sentence(updated), "Is what /src/golden/build.golden holds now.");
  model::Comparison unjudged;
  unjudged.failure = "the run shows fewer calls";
  EXPECT_EQ(comparison_sentence(unjudged), "Could not be judged: the run shows fewer calls.");
  EXPECT_FALSE(unjudged.passed());
}

// ---- JUnit --------------------------------------------------------------------------------------

TEST(ComparisonJunit, EachIsATestOfItsOwn) {
  const std::string xml = junit_report(report_with(test::comparison()), subject());
  // That nothing is stuck, three differences, two assertions.
  EXPECT_THAT(xml, HasSubstr("tests=\"6\" failures=\"4\" errors=\"0\""));
  EXPECT_EQ(count(xml, "<failure type=\"baseline-difference\" "), 3U);
  EXPECT_EQ(count(xml, "<failure type=\"assertion-failed\" "), 1U);
  EXPECT_THAT(xml, HasSubstr("name=\"nothing is stuck\" time=\"1.262\"/>"));
  EXPECT_THAT(xml, HasSubstr("name=\"assert: never connect\" time=\"0.000\"/>"));
  EXPECT_THAT(xml, HasSubstr("name=\"baseline: P3 (sort) (2)\" time=\"0.000\">"));
  EXPECT_THAT(xml, HasSubstr("message=\"does not hold: opens &lt;= 2; seen: 3 of them\">does not"));
  EXPECT_THAT(xml, HasSubstr("at      0.012 s, P1: openat(&quot;x&quot;)\n"));
  EXPECT_THAT(xml, HasSubstr("replay  stucktrace replay -e trace=open,openat run.rec\n"));
  EXPECT_THAT(xml, Not(HasSubstr("name=\"baseline: /src")));
}

TEST(ComparisonJunit, WhatHoldsIsAPassedTest) {
  const std::string xml = junit_report(report_with(passed_comparison()), subject());
  EXPECT_THAT(xml, HasSubstr("tests=\"3\" failures=\"0\" errors=\"0\""));
  EXPECT_THAT(xml, HasSubstr("name=\"baseline: /src/golden/build.golden\" time=\"0.000\"/>"));
  EXPECT_THAT(xml, HasSubstr("name=\"assert: never connect\" time=\"0.000\"/>"));
}

TEST(ComparisonJunit, BesideFindings) {
  model::Report report = test::birth_report();
  report.comparison = test::comparison();
  const std::string xml = junit_report(report, subject());
  EXPECT_THAT(xml, HasSubstr("tests=\"6\" failures=\"5\" errors=\"0\""));
  EXPECT_THAT(xml, Not(HasSubstr("nothing is stuck")));
}

TEST(ComparisonJunit, WhatCouldNotBeJudgedIsAnError) {
  model::Comparison unjudged;
  unjudged.baseline = "build.golden";
  unjudged.failure = "the run shows fewer <calls>";
  const std::string xml = junit_report(report_with(unjudged), subject());
  EXPECT_THAT(xml, HasSubstr("tests=\"2\" failures=\"0\" errors=\"1\""));
  EXPECT_THAT(xml, HasSubstr("<error type=\"comparison\" message=\"Could not be judged: the run "
                             "shows fewer &lt;calls&gt;.\"/>"));
  EXPECT_THAT(xml, Not(HasSubstr("name=\"baseline: ")));
}

// ---- SARIF --------------------------------------------------------------------------------------

TEST(ComparisonSarif, EachIsAResultAtItsLineOfTheBaseline) {
  const json log = json::parse(sarif_report(report_with(test::comparison()), subject()));
  const json& run = log["runs"][0];
  ASSERT_EQ(run["results"].size(), 4U);
  ASSERT_EQ(run["tool"]["driver"]["rules"].size(), 2U);
  EXPECT_EQ(run["tool"]["driver"]["rules"][0]["id"], "baseline-difference");
  EXPECT_EQ(run["tool"]["driver"]["rules"][1]["id"], "assertion-failed");
  const json& first = run["results"][0];
  EXPECT_EQ(first["ruleId"], "baseline-difference");
  EXPECT_EQ(first["level"], "error");
  const json& place = first["locations"][0]["physicalLocation"];
  EXPECT_EQ(place["artifactLocation"]["uri"], "golden/build.golden");
  EXPECT_EQ(place["region"]["startLine"], 27);
  EXPECT_EQ(first["properties"]["placedBy"], "baseline");
  EXPECT_EQ(first["properties"]["expected"][1], "exits 0");
  EXPECT_EQ(first["properties"]["got"][0], "killed by SIGPIPE");
  EXPECT_EQ(first["partialFingerprints"]["stucktraceComparison/v1"], "baseline: P3 (sort)");
  // What the baseline lacks has no line there.
  EXPECT_EQ(run["results"][2]["locations"][0]["physicalLocation"]["region"]["startLine"], 1);
  const json& last = run["results"][3];
  EXPECT_EQ(last["ruleIndex"], 1);
  EXPECT_EQ(last["properties"]["seen"], "3 of them");
  EXPECT_EQ(last["properties"]["at_ms"], 12);
  EXPECT_EQ(last["properties"]["role"], "P1");
  EXPECT_THAT(std::string(last["message"]["text"]), HasSubstr("replay  stucktrace replay"));
}

TEST(ComparisonSarif, ARuleHasOneIndexBesideFindings) {
  model::Report report = test::birth_report();
  report.comparison = test::comparison();
  const json log = json::parse(sarif_report(report, subject()));
  for (const json& result : log["runs"][0]["results"]) {
    const std::size_t index = result["ruleIndex"];
    EXPECT_EQ(log["runs"][0]["tool"]["driver"]["rules"][index]["id"], result["ruleId"]);
  }
  EXPECT_EQ(log["runs"][0]["results"].size(), 5U);
}

TEST(ComparisonSarif, EveryResultHasAFile) {
  model::Comparison elsewhere = test::comparison();
  elsewhere.baseline = "/other/build.golden";
  const json log = json::parse(sarif_report(report_with(elsewhere), subject()));
  for (const json& result : log["runs"][0]["results"]) {
    EXPECT_EQ(result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"], "README.md");
    EXPECT_EQ(result["properties"]["placedBy"], "none");
  }
  // Of the command line: nowhere in the baseline.
  model::Comparison words = test::comparison();
  words.assertions[1].line = 0;
  const json other = json::parse(sarif_report(report_with(words), subject()));
  EXPECT_EQ(other["runs"][0]["results"][3]["properties"]["placedBy"], "none");
}

TEST(ComparisonSarif, WhatHoldsIsNoResultAndWhatCouldNotBeJudgedIsSaid) {
  const json log = json::parse(sarif_report(report_with(passed_comparison()), subject()));
  EXPECT_TRUE(log["runs"][0]["results"].empty());
  model::Comparison unjudged;
  unjudged.failure = "no events";
  const json other = json::parse(sarif_report(report_with(unjudged), subject()));
  const json& note = other["runs"][0]["invocations"][0]["toolExecutionNotifications"][0];
  EXPECT_EQ(note["level"], "error");
  EXPECT_EQ(note["message"]["text"], "Could not be judged: no events.");
}

// ---- Markdown and marks -------------------------------------------------------------------------

TEST(ComparisonMarkdown, SentenceThenEach) {
  const std::string text = markdown_report(report_with(test::comparison()), subject());
  EXPECT_THAT(text, HasSubstr("🔴 Differs from "));
  EXPECT_THAT(text, HasSubstr("#### 🔴 ` baseline: P3 (sort) `\n\n"));
  EXPECT_THAT(text, HasSubstr("  - writes a pipe to P4\n"));
  EXPECT_THAT(text, HasSubstr("#### 🔴 ` assert: opens <= 2 `\n\n"));
  EXPECT_EQ(count(text, "#### "), 4U);
  EXPECT_THAT(markdown_report(report_with(passed_comparison()), subject()),
              HasSubstr("🟢 Does not differ from "));
}

TEST(ComparisonMarkdown, WhatDoesNotFitIsCounted) {
  model::Comparison many = test::comparison();
  many.differences.resize(200, many.differences.front());
  const std::string text = markdown_report(report_with(many), subject(), 5000);
  EXPECT_LE(text.size(), 5000U);
  EXPECT_GE(count(text, "#### "), 2U);
  EXPECT_THAT(text, HasSubstr(fmt::format("… and {} more differences and assertions",
                                          201 - count(text, "#### "))));
}

TEST(ComparisonAnnotations, EachAtItsLine) {
  const std::string lines = github_annotations(report_with(test::comparison()), subject());
  EXPECT_THAT(lines, testing::StartsWith(
                         "\n::error file=golden/build.golden,line=27,title=stucktrace%3A "
                         "baseline%3A P3 (sort)::P3 (sort) differs (line 27)%0A  - writes"));
  EXPECT_EQ(count(lines, "\n"), 5U);
  EXPECT_THAT(lines, HasSubstr("\n::error title=stucktrace%3A baseline%3A P5 (cat)::"));
  EXPECT_EQ(github_annotations(report_with(passed_comparison()), subject()), "");
}

TEST(ComparisonAnnotations, OfManyAsManyAsGithubShows) {
  model::Comparison many = test::comparison();
  many.differences.resize(200, many.differences.front());
  const std::string lines = github_annotations(report_with(many), subject());
  EXPECT_EQ(count(lines, "\n::error "), 10U);
  EXPECT_THAT(lines, HasSubstr("::… and 192 more. Differs from"));
}

// ---- JSON and the page --------------------------------------------------------------------------

TEST(ComparisonJson, HasTheLinesAndTheChecks) {
  const json report = json::parse(json_report(report_with(test::comparison())));
  const json& told = report["comparison"];
  EXPECT_EQ(told["passed"], false);
  EXPECT_EQ(told["baseline"], "/src/golden/build.golden");
  ASSERT_EQ(told["differences"].size(), 3U);
  EXPECT_EQ(told["differences"][0]["kind"], "differs");
  EXPECT_EQ(told["differences"][0]["line"], 27);
  EXPECT_EQ(told["differences"][1]["name"], "baseline: P3 (sort) (2)");
  EXPECT_EQ(told["differences"][2]["kind"], "added");
  EXPECT_TRUE(told["differences"][2]["line"].is_null());
  ASSERT_EQ(told["assertions"].size(), 2U);
  EXPECT_EQ(told["assertions"][0]["holds"], true);
  EXPECT_EQ(told["assertions"][1]["place"]["at_ms"], 12);
  EXPECT_FALSE(json::parse(json_report(model::Report{})).contains("comparison"));
}

TEST(ComparisonPage, HasASectionAndLeadsToIt) {
  const std::string page = html_report(report_with(test::comparison()), subject(), nullptr);
  EXPECT_THAT(page, HasSubstr("<h1 class=\"verdict error\">Differs from "));
  const std::size_t link = page.find("<a href=\"#comparison\">To what differs");
  const std::size_t section = page.find("<section id=\"comparison\"");
  ASSERT_NE(link, page.npos);
  ASSERT_NE(section, page.npos);
  EXPECT_LT(link, section);
  EXPECT_LT(section, page.find("<section id=\"findings\""));
  EXPECT_THAT(page, HasSubstr("<del>  - writes a pipe to P4</del>\n"));
  EXPECT_THAT(page, HasSubstr("<ins>  + killed by SIGPIPE</ins>\n"));
  EXPECT_EQ(count(page, "id=\"mismatch-"), 4U);
}

TEST(ComparisonPage, AFindingStaysTheVerdict) {
  model::Report report = test::birth_report();
  report.comparison = test::comparison();
  const std::string page = html_report(report, subject(), nullptr);
  EXPECT_THAT(page, HasSubstr("<h1 class=\"verdict error\">STUCK"));
  EXPECT_THAT(page, HasSubstr("<a href=\"#comparison\">Differs from "));
}

TEST(ComparisonPage, WhatPassedIsALine) {
  const std::string page = html_report(report_with(passed_comparison()), subject(), nullptr);
  EXPECT_THAT(page, HasSubstr("<h1 class=\"verdict calm\">"));
  EXPECT_THAT(page, HasSubstr("<p class=\"compared calm\">Does not differ from "));
  EXPECT_THAT(page, Not(HasSubstr("<section id=\"comparison\"")));
}

TEST(Comparison, HostileTextStaysInItsPlace) {
  model::Comparison what = test::comparison();
  what.baseline = test::kHostile;
  // Lines of a comparison are safe for a terminal already; markup is still in them.
  const std::string hostile = terminal_text(test::kHostile, 2000);
  for (model::Difference& each : what.differences) {
    each.title = hostile;
    each.expected = {hostile};
  }
  what.assertions[1].text = hostile;
  what.assertions[1].place->call = hostile;
  const model::Report report = report_with(what);
  const std::string xml = junit_report(report, subject());
  EXPECT_EQ(count(xml, "</failure>"), 4U);
  EXPECT_THAT(xml, Not(HasSubstr("<b>")));
  const std::string page = html_report(report, subject(), nullptr);
  EXPECT_EQ(count(page, "</script>"),
            count(html_report(report_with(test::comparison()), subject(), nullptr), "</script>"));
  EXPECT_THAT(page, Not(HasSubstr("<b>&")));
  EXPECT_EQ(count(github_annotations(report, subject()), "\n"), 5U);
  EXPECT_EQ(count(github_annotations(report, subject()), "\n::error "), 4U);
  EXPECT_EQ(json::parse(sarif_report(report, subject()))["version"], "2.1.0");
  EXPECT_EQ(json::parse(json_report(report))["comparison"]["passed"], false);
  EXPECT_EQ(count(markdown_report(report, subject()), "\n::error::"), 0U);
}

// ---- who was ended ------------------------------------------------------------------------------

model::Report ended_report(std::string because) {
  model::Report report;
  report.ended = model::Ended{std::move(because), "it is over", std::nullopt};
  using Known = model::EndedProcess::Known;
  report.ended->processes = {{base::Pid{7}, "sh", Known::kTraced},
                             {base::Pid{8}, "<gdb>", Known::kBelow},
                             {base::Pid{9}, "sleep", Known::kGroup},
                             {base::Pid{10}, "", Known::kGroup}};
  return report;
}

std::string unwrapped(std::string text) {
  std::ranges::replace(text, '\n', ' ');
  return text;
}

TEST(Ended, ProcessesByHowTheyAreKnown) {
  constexpr const char* kSentence =
      "4 processes are ended: sh (pid 7); no longer traced: &lt;gdb&gt; (pid 8); by the control "
      "group alone: sleep (pid 9), pid 10.";
  EXPECT_THAT(unwrapped(junit_report(ended_report("deadline"), subject())), HasSubstr(kSentence));
  EXPECT_THAT(html_report(ended_report("deadline"), subject(), nullptr), HasSubstr(kSentence));
  // An end that is no failure tells all the same.
  EXPECT_THAT(junit_report(ended_report("orphans"), subject()), HasSubstr(kSentence));
  // So does one whose story is a finding's.
  model::Report found = test::birth_report();
  found.ended = ended_report("deadline").ended;
  EXPECT_THAT(junit_report(found, subject()), HasSubstr(kSentence));
  EXPECT_THAT(markdown_report(found, subject()), HasSubstr("4 processes are ended: sh "));
  const json report = json::parse(json_report(found));
  ASSERT_EQ(report["ended"]["processes"].size(), 4U);
  EXPECT_EQ(report["ended"]["processes"][2],
            json({{"pid", 9}, {"comm", "sleep"}, {"known", "control-group"}}));
}

TEST(Ended, OfManyTheFirstAreNamed) {
  model::Report report = ended_report("deadline");
  report.ended->processes.resize(1000, report.ended->processes.front());
  EXPECT_THAT(junit_report(report, subject()), HasSubstr("1000 processes are ended: "));
  EXPECT_THAT(junit_report(report, subject()), HasSubstr(", and 987 more; no longer traced"));
}

}  // namespace
}  // namespace stucktrace::render
