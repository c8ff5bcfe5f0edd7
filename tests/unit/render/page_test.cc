// The drawn formats: DOT and the HTML page.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/support/event_script.h"
#include "tests/unit/render/hostile.h"
#include "tracer/render/dot_graph.h"
#include "tracer/render/html_report.h"
#include "tracer/render/wait_picture.h"

namespace stucktrace::render {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

TEST(WaitPicture, TheCircleAndItsWayOut) {
  const WaitPicture picture = wait_picture(test::birth_report());
  ASSERT_EQ(picture.processes.size(), 2U);
  ASSERT_EQ(picture.nodes.size(), 3U);
  for (const PictureNode& node : picture.nodes) EXPECT_TRUE(node.in_cycle && node.stuck);
  ASSERT_EQ(picture.edges.size(), 5U);
  std::size_t circle = 0;
  for (const PictureEdge& edge : picture.edges) circle += edge.in_cycle ? 1 : 0;
  EXPECT_EQ(circle, 3U);
  ASSERT_EQ(picture.exits.size(), 1U);
  EXPECT_EQ(picture.exits[0].text, "time-out in 3.8 s");
}

TEST(WaitPicture, WhatIsOverKeepsItsCircle) {
  model::Report report = test::birth_report();
  report.diagnosis = {};
  report.history = {test::birth_finding()};
  report.history[0].resolved_at = test::EventScript::at_ms(5063);
  const WaitPicture picture = wait_picture(report);
  EXPECT_EQ(picture.nodes.size(), 3U);
  EXPECT_EQ(picture.edges.size(), 3U);
}

TEST(WaitPicture, IsBounded) {
  const WaitPicture picture = wait_picture(test::birth_report(), 2);
  EXPECT_EQ(picture.nodes.size(), 2U);
  EXPECT_EQ(picture.left_out, 1U);
}

TEST(DotGraph, ClustersNodesAndTheRedCircle) {
  const std::string dot = dot_graph(test::birth_report());
  EXPECT_THAT(dot, HasSubstr("subgraph cluster_4712 {\n    label=\"P2 python3 (4712)\";"));
  EXPECT_THAT(dot, HasSubstr("t4714 -> t4711 [label=\"holds the read end (fd 3)\", color="));
  EXPECT_THAT(dot, HasSubstr("t4714 -> t4712 [label=\"holds the read end (fd 3)\"];"));
  EXPECT_THAT(dot, HasSubstr("e1 [label=\"time-out in 3.8 s\""));
  EXPECT_THAT(dot_graph(model::Report{}), HasSubstr("Nothing is stuck."));
}

TEST(DotGraph, HostileNames) {
  const std::string dot = dot_graph(test::hostile_report());
  // Outside of strings nothing of a tracee: quotes come in pairs on every line.
  std::size_t quotes = 0;
  for (std::size_t i = 0; i < dot.size(); ++i) {
    if (dot[i] == '\\') {
      ++i;
    } else if (dot[i] == '"') {
      ++quotes;
    } else if (dot[i] == '\n') {
      EXPECT_EQ(quotes % 2, 0U) << dot.substr(0, i);
    }
  }
}

// The data that the page's script draws from.
json data_of(const std::string& page) {
  const std::string begin = "<script type=\"application/json\" id=\"data\">";
  const std::size_t at = page.find(begin) + begin.size();
  return json::parse(page.substr(at, page.find("</script>", at) - at));
}

const Subject kSubject{"run", {"python3", "hang.py"}, std::chrono::seconds{5}, "", "/src"};

TEST(HtmlReport, HasTextAndDataOfTheReport) {
  TraceLanes lanes(test::EventScript::kStart);
  for (const model::Event& event : test::birth_case().events()) lanes.on_event(event);
  lanes.close();
  model::Report report = test::birth_report();
  report.history = {test::birth_finding()};
  const std::string page = html_report(report, kSubject, &lanes);
  EXPECT_THAT(page, HasSubstr("<h1 class=\"verdict error\">STUCK until its time-out"));
  EXPECT_THAT(page, HasSubstr("<title>stucktrace run python3 hang.py</title>"));
  EXPECT_THAT(page, HasSubstr("which waits for the first: a cycle"));
  EXPECT_THAT(page, Not(HasSubstr("{{")));
  const json data = data_of(page);
  EXPECT_EQ(data["lanes"].size(), 4U);
  EXPECT_EQ(data["graph"]["nodes"].size(), 3U);
  ASSERT_EQ(data["findings"].size(), 1U);
  EXPECT_EQ(data["findings"][0]["from"], 103'000.0);
  EXPECT_EQ(data["findings"][0]["chain"], json({4711, 4712, 4714}));
}

TEST(HtmlReport, CallsHaveTheirStacks) {
  test::EventScript script;
  script.seen(0, 10, 10, {});
  for (const double ms : {1.0, 2.0}) {
    script.enter(ms, 10, 10, "close", {7}).stack(ms, 10, 10, {"close", "</script>tidy", "main"});
    script.exit(ms + 0.5, 10, 10, "close", {7}, 0);
  }
  script.enter(3, 10, 10, "close", {8}).exit(3.5, 10, 10, "close", {8}, 0);
  model::StackSeen none;
  none.note = "it has ended";
  script.enter(4, 10, 10, "pause", {}).add(4, 10, 10, none);
  TraceLanes lanes(test::EventScript::kStart);
  for (const model::Event& event : script.events()) lanes.on_event(event);
  lanes.close();
  const json data = data_of(html_report(model::Report{}, kSubject, &lanes));
  const json& spans = data["lanes"][0]["spans"];
  ASSERT_EQ(spans.size(), 4U);
  EXPECT_EQ(spans[0][6], 0);
  EXPECT_EQ(spans[1][6], 0) << "the same stack is there once";
  EXPECT_LT(spans[2].size(), 7U) << "none was taken";
  EXPECT_EQ(spans[3][6], 1);
  ASSERT_EQ(data["stacks"].size(), 2U);
  ASSERT_EQ(data["stacks"][0].size(), 3U);
  EXPECT_THAT(data["stacks"][0][1].get<std::string>(), HasSubstr("</script>tidy"));
  EXPECT_EQ(data["stacks"][1], json({"(it has ended)"}));
}

TEST(TraceLanes, OfStacksOnlySoManyAreKept) {
  test::EventScript script;
  script.seen(0, 10, 10, {});
  for (int i = 0; i < 6; ++i) {
    const std::string caller = "caller" + std::to_string(i % 3);
    script.enter(i, 10, 10, "close", {7}).stack(i, 10, 10, {"close", caller});
    script.exit(i + 0.5, 10, 10, "close", {7}, 0);
  }
  TraceLanes::Limits limits;
  limits.stacks = 2;
  TraceLanes lanes(test::EventScript::kStart, limits);
  for (const model::Event& event : script.events()) lanes.on_event(event);
  lanes.close();
  const std::vector<Lane> kept = lanes.lanes();
  ASSERT_EQ(kept[0].spans.size(), 6U);
  EXPECT_EQ(kept[0].spans[0].stack, kept[0].spans[3].stack);
  EXPECT_NE(kept[0].spans[1].stack, nullptr);
  EXPECT_EQ(kept[0].spans[2].stack, nullptr);
  EXPECT_EQ(lanes.left_out().stacks, 2U);
}

TEST(HtmlReport, WithoutATraceShowsTheLook) {
  const std::string page = html_report(test::birth_report(), kSubject, nullptr);
  const json data = data_of(page);
  ASSERT_EQ(data["lanes"].size(), 3U);
  EXPECT_EQ(data["lanes"][0]["born"], 0.0);
  EXPECT_EQ(data["to"], 1'200'000.0);
  EXPECT_EQ(data["lanes"][1]["spans"][0][2], "lock");

  // Nobody knows since when anything waits: the time of the look is shown.
  model::Report report = test::birth_report();
  auto snapshot = std::make_shared<model::Snapshot>(*report.snapshot);
  for (model::Process& process : snapshot->processes) {
    for (model::Thread& thread : process.threads) thread.waiting_since.reset();
  }
  report.snapshot = snapshot;
  report.look = model::Look{};
  report.look->took = std::chrono::milliseconds{250};
  const json looked = data_of(html_report(report, kSubject, nullptr));
  EXPECT_EQ(looked["to"], 250'000.0);
  EXPECT_THAT(looked["lanes"][0]["spans"][0][3].get<std::string>(), HasSubstr("not known"));
}

TEST(HtmlReport, ThreadsOfAFindingHaveTheirLanes) {
  model::Report report = test::birth_report();
  auto snapshot = std::make_shared<model::Snapshot>(*report.snapshot);
  model::Process& first = snapshot->processes.front();
  for (int i = 0; i < 400; ++i) {
    model::Thread thread = first.threads.front();
    thread.tid = base::Tid{100'000 + i};
    first.threads.push_back(thread);
  }
  report.snapshot = snapshot;
  const json data = data_of(html_report(report, kSubject, nullptr));
  EXPECT_EQ(data["lanes"].size(), 300U);
  EXPECT_EQ(data["left_out"]["lanes"], 103);
  EXPECT_EQ(data["lanes"].back()["tid"], 4714);
}

TEST(HtmlReport, ACutTraceCallsNothingCalm) {
  Subject cut = kSubject;
  cut.failure = "stucktrace was ended before it could report";
  const std::string page = html_report(model::Report{}, cut, nullptr);
  EXPECT_THAT(page, HasSubstr("The trace did not come to its end: stucktrace was ended before it "
                              "could report."));
  EXPECT_THAT(page, Not(HasSubstr("Nothing is stuck")));
}

TEST(HtmlReport, NeedsNothingFromOutside) {
  const std::string page = html_report(test::birth_report(), kSubject, nullptr);
  for (const char* each : {"src=", "href=", "@import", "url(http", "fetch("}) {
    EXPECT_THAT(page, Not(HasSubstr(each)));
  }
  EXPECT_THAT(page, HasSubstr("default-src 'none'"));
}

TEST(HtmlReport, HostileNames) {
  Subject hostile = kSubject;
  hostile.words = {test::kHostile};
  hostile.failure = test::kHostile;
  const std::string page = html_report(test::hostile_report(), hostile, nullptr);
  const std::string clean = html_report(test::birth_report(), kSubject, nullptr);
  const auto count = [](std::string_view text, std::string_view what) {
    std::size_t found = 0;
    for (std::size_t at = text.find(what); at != text.npos; at = text.find(what, at + 1)) ++found;
    return found;
  };
  EXPECT_EQ(count(page, "</script>"), count(clean, "</script>"));
  EXPECT_EQ(count(page, "<b>"), count(clean, "<b>"));
  EXPECT_EQ(count(page, "</failure>"), 0U);
  EXPECT_EQ(count(page, "</details>"), count(clean, "</details>"));
  EXPECT_EQ(data_of(page)["graph"]["nodes"].size(), 3U);
}

TEST(HtmlReport, HostileNamesInLanes) {
  test::EventScript script;
  model::TaskSeen task;
  task.comm = test::kHostile;
  task.argv = {test::kHostile};
  task.fds = {
      test::fd_entry(1, model::ResourceKind::kPipe, 7, model::FdMode::kWrite, test::kHostile)};
  script.seen(0, 10, 10, task);
  const std::string said = test::kHostile;
  script.call(1, 2, 10, 10, "write", {1, 0x9000, said.size()},
              static_cast<std::int64_t>(said.size()), {{0x9000, said}});
  script.add(3, 10, 10, model::Exec{{}, test::kHostile, {test::kHostile}, {}});
  TraceLanes lanes(test::EventScript::kStart);
  for (const model::Event& event : script.events()) lanes.on_event(event);
  lanes.close();
  const std::string page = html_report(test::hostile_report(), kSubject, &lanes);
  const json data = data_of(page);
  ASSERT_EQ(data["lanes"].size(), 1U);
  EXPECT_EQ(data["lanes"][0]["marks"].size(), 2U);
  const std::string block = data.dump();
  EXPECT_THAT(block, HasSubstr("</details>"));
  for (const std::string& text : {data["lanes"][0]["name"].get<std::string>(),
                                  data["lanes"][0]["marks"][0][2].get<std::string>(),
                                  data["lanes"][0]["spans"][0][3].get<std::string>()}) {
    for (const char byte : text) EXPECT_NE(byte & 0xe0, 0) << int{byte};
  }
  // In the page itself nothing of the data looks like a tag.
  const std::size_t from = page.find("id=\"data\">");
  const std::string_view raw =
      std::string_view(page).substr(from, page.find("</script>", from) - from);
  EXPECT_EQ(raw.find('<'), raw.npos);
}

}  // namespace
}  // namespace stucktrace::render
