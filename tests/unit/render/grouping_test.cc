// Reports about many threads stay a page: equal ones are told together.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/support/snapshot_builder.h"
#include "tests/unit/render/golden.h"
#include "tracer/render/finding_scope.h"
#include "tracer/render/json_report.h"
#include "tracer/render/text_report.h"

namespace stucktrace::render {
namespace {

using base::Pid;
using base::Tid;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

std::size_t line_count(const std::string& text) {
  return static_cast<std::size_t>(std::ranges::count(text, '\n'));
}

model::Finding finding_about(std::string rule, int pid, std::vector<int> chain) {
  model::Finding finding;
  finding.rule = std::move(rule);
  finding.certainty = model::Certainty::kProven;
  finding.pid = Pid{pid};
  finding.tid = Tid{chain.front()};
  finding.headline = fmt::format("process {} cannot go on", pid);
  for (const int tid : chain) {
    model::ChainLink link;
    link.pid = Pid{pid};
    link.tid = Tid{tid};
    link.who = fmt::format("P1 server (pid {}), thread {}", pid, tid);
    link.what = "waits for a lock that another one owns";
    link.frames = {"pthread_mutex_lock (libc.so.6)", "work (server.c:7)"};
    finding.chain.push_back(std::move(link));
  }
  return finding;
}

model::Report report_of(test::SnapshotBuilder& tree, const std::vector<int>& roots) {
  model::Report report;
  auto snapshot = std::make_shared<model::Snapshot>(tree.samples().now);
  for (const int root : roots) snapshot->roots.push_back(Pid{root});
  report.taken_at = snapshot->taken_at;
  for (const model::Process& process : snapshot->processes) {
    for (const model::Thread& thread : process.threads) {
      report.diagnosis.threads.push_back({thread.tid, model::ThreadVerdict::kStuck});
    }
  }
  report.snapshot = std::move(snapshot);
  return report;
}

// One process, 500 threads behind a lock whose owner, 11, is blocked.
model::Report crowd() {
  test::SnapshotBuilder tree;
  auto server = tree.process(10, "server").role("P1").thread(11);
  tree.thread(10).joins(12);
  tree.thread(11).writes_pipe(7, 4);
  for (int tid = 12; tid < 512; ++tid) {
    server.thread(tid, fmt::format("worker-{}", tid));
    tree.thread(tid).waits_for_lock(0x5000, 11).native("__lll_lock_wait").native("serve", "server");
  }
  model::Report report = report_of(tree, {10});
  report.diagnosis.findings = {finding_about("pipe-full", 10, {11})};
  for (int tid = 12; tid < 512; ++tid) {
    report.diagnosis.edges.push_back({Tid{tid}, {Tid{11}}, {}, false, {}, "owns the lock"});
  }
  return report;
}

TEST(Grouping, ACrowdBehindAFindingIsCountedAndNamed) {
  const std::string text = text_report(crowd(), {});
  EXPECT_LT(line_count(text), 30U);
  EXPECT_THAT(text, HasSubstr("Also      501 more threads are stuck behind this:\n"));
  EXPECT_THAT(text, HasSubstr("P1 server (10)  500 threads (worker-100, worker-101, worker-102, … "
                              "497 more names):\n"));
  EXPECT_THAT(text, AllOf(HasSubstr("held by thread 11 in serve\n"),
                          HasSubstr("P1 server (10), main thread  joins thread 12\n")));
}

TEST(Grouping, JsonHasTheSameCrowd) {
  const auto json = nlohmann::json::parse(json_report(crowd()));
  const auto& groups = json["findings"][0]["behind"];
  ASSERT_EQ(groups.size(), 2U);
  EXPECT_EQ(groups[1]["tids"].size(), 500U);
  EXPECT_EQ(groups[1]["pids"], std::vector<int>{10});
  EXPECT_THAT(groups[1]["what"].get<std::string>(), HasSubstr("held by thread 11 in serve"));
}

TEST(Grouping, EqualStacksAreShownOnce) {
  const std::string text = text_report(crowd(), {.stacks = true});
  EXPECT_LT(line_count(text), 60U);
  EXPECT_THAT(text, HasSubstr("P1 server (10), 500 threads 12, 13, 14, 15, 16, 17, …: waits for"));
}

TEST(Grouping, WaitsThatDifferOnlyInTimeAreEqual) {
  test::SnapshotBuilder tree;
  auto sleeper = tree.process(10, "sleeper").role("P1");
  for (int tid = 11; tid < 60; ++tid) {
    sleeper.thread(tid);
    tree.thread(tid).sleeps(seconds{tid});
  }
  tree.thread(10).sleeps(seconds{10});
  model::Report report = report_of(tree, {10});
  for (auto& each : report.diagnosis.threads) each.verdict = model::ThreadVerdict::kWaiting;
  EXPECT_THAT(text_report(report, {}), HasSubstr("50 threads: sleeps, at most 10 s to 59 s\n"));
}

TEST(Grouping, OfALongCircleTheMiddleIsFolded) {
  test::SnapshotBuilder tree;
  auto server = tree.process(10, "server").role("P1");
  std::vector<int> tids;
  for (int tid = 10; tid < 50; ++tid) {
    if (tid != 10) server.thread(tid);
    tree.thread(tid).waits_for_lock(0x5000 + static_cast<std::uint64_t>(tid), tid % 50 + 1);
    tids.push_back(tid);
  }
  model::Report report = report_of(tree, {10});
  model::Finding finding = finding_about("lock-cycle", 10, tids);
  for (const int tid : tids) {
    finding.cycle.push_back(Tid{tid});
    finding.explanation.push_back(fmt::format("Step {}.", tid));
  }
  report.diagnosis.findings = {finding};
  const std::string text = text_report(report, {});
  EXPECT_LT(line_count(text), 50U);
  EXPECT_THAT(text, AllOf(HasSubstr("⋮ 35 more in between (-v):\n"), HasSubstr("thread 12 waits"),
                          Not(HasSubstr("thread 13 waits")), HasSubstr("thread 48 waits"),
                          HasSubstr("35 threads: waits for a lock that another thread holds")));
  EXPECT_THAT(text, HasSubstr("Step 12. … 35 more steps (-v) … Step 48. Step 49."));
  const std::string all = text_report(report, {.verbose = true});
  EXPECT_THAT(all, AllOf(HasSubstr("thread 13 waits"), Not(HasSubstr("⋮"))));
}

// Pairs of processes, each stuck for itself.
model::Report pairs(int count) {
  test::SnapshotBuilder tree;
  std::vector<int> roots;
  for (int i = 0; i < count; ++i) {
    tree.process(100 + 2 * i, "server").role(fmt::format("P{}", i + 1));
    roots.push_back(100 + 2 * i);
  }
  model::Report report = report_of(tree, roots);
  for (const int root : roots) {
    report.diagnosis.findings.push_back(finding_about("self-deadlock", root, {root}));
  }
  return report;
}

TEST(Grouping, ManyFindingsFillAScreenAndNoMore) {
  const std::string text = text_report(pairs(60), {});
  EXPECT_LT(line_count(text), 80U);
  EXPECT_THAT(text, HasSubstr("(1 of 60 findings; 59 more below)"));
  EXPECT_THAT(text, HasSubstr("more findings: "));
  EXPECT_THAT(text, HasSubstr(" self-deadlock (-v tells all)"));
  EXPECT_THAT(text_report(pairs(60), {.verbose = true}), HasSubstr("\n60. STUCK"));
}

TEST(Grouping, TheWorstComesFirst) {
  model::Report report = pairs(4);
  auto& findings = report.diagnosis.findings;
  findings[0].certainty = model::Certainty::kLikely;
  findings[1].certainty = model::Certainty::kUntil;
  findings[3].chain[0].since = seconds{9};
  std::vector<int> order;
  for (const model::Finding* each : findings_by_weight(report)) order.push_back(each->pid.value());
  EXPECT_THAT(order, testing::ElementsAre(106, 104, 102, 100));
  // More threads behind it weigh more than a longer time.
  report.diagnosis.findings[2].also_blocked = {Tid{100}};
  order.clear();
  for (const model::Finding* each : findings_by_weight(report)) order.push_back(each->pid.value());
  EXPECT_THAT(order, testing::ElementsAre(104, 106, 102, 100));
}

TEST(Grouping, OfTheWholeMachineEachTreeHasOneStory) {
  test::SnapshotBuilder tree;
  tree.process(10, "a").role("P1");
  tree.process(11, "b").role("P2").child_of(10);
  tree.process(20, "c").role("P3");
  model::Report report = report_of(tree, {10, 20});
  report.diagnosis.findings = {finding_about("file-lock", 10, {10}),
                               finding_about("pipe-full", 20, {20}),
                               finding_about("fifo-no-peer", 11, {11})};
  report.look = model::Look{true, 321, 999, milliseconds{200}, milliseconds{1200}};
  ASSERT_EQ(told_trees(report).size(), 2U);
  const std::string text = text_report(report, {});
  EXPECT_THAT(text, StartsWith("STUCK (proven): process 10 cannot go on\n"));
  EXPECT_THAT(text, HasSubstr("\n2. STUCK (proven): process 11 cannot go on\n\n3. STUCK"));
  EXPECT_THAT(text, Not(HasSubstr("fifo-no-peer")));
  EXPECT_THAT(text,
              testing::EndsWith("\nLooked at 321 processes, 999 threads in 1.2 s: 2 trees are "
                                "stuck, 3 findings.\n"));
}

TEST(Grouping, ALikelyFindingSaysWhatWouldMakeItCertain) {
  test::SnapshotBuilder tree;
  tree.process(10, "server").role("P1");
  tree.thread(10).sleeps(milliseconds{50});
  model::Report report = report_of(tree, {10});
  model::Finding finding = finding_about("deadlock", 10, {10});
  finding.certainty = model::Certainty::kLikely;
  finding.evidence = {"a", "b", "not proven: thread 10 wakes by its own clock", "c"};
  report.diagnosis.findings = {finding};
  report.look = model::Look{false, 1, 1, milliseconds{200}, milliseconds{300}};
  EXPECT_THAT(
      text_report(report, {}),
      AllOf(HasSubstr("  Unproven  thread 10 wakes by its own clock\n"),
            HasSubstr("  Certain   by a longer look: stucktrace explain --settle 2s 10\n")));
  report.look->settle = seconds{2};
  EXPECT_THAT(text_report(report, {}), Not(HasSubstr("Certain  ")));
  report.diagnosis.findings[0].certainty = model::Certainty::kProven;
  EXPECT_THAT(text_report(report, {}), Not(HasSubstr("Unproven")));
}

}  // namespace
}  // namespace stucktrace::render
