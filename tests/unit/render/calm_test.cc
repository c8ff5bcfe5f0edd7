// Nothing is stuck: what each tree does, what could not be seen, and what to try next.

#include "tracer/render/calm.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/support/snapshot_builder.h"
#include "tests/unit/render/golden.h"
#include "tracer/render/json_report.h"
#include "tracer/render/sight.h"
#include "tracer/render/text_report.h"

namespace stucktrace::render {
namespace {

using base::Pid;
using base::Tid;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

using enum model::ThreadVerdict;

model::Report report_of(test::SnapshotBuilder& tree, const std::vector<int>& roots) {
  model::Report report;
  auto snapshot = std::make_shared<model::Snapshot>(tree.samples().now);
  for (const int root : roots) snapshot->roots.push_back(Pid{root});
  report.taken_at = snapshot->taken_at;
  for (const model::Process& process : snapshot->processes) {
    for (const model::Thread& thread : process.threads) {
      report.diagnosis.threads.push_back({thread.tid, kWaiting});
    }
  }
  report.snapshot = std::move(snapshot);
  report.look = model::Look{false, 1, 1, milliseconds{200}, milliseconds{300}};
  return report;
}

void set(model::Report& report, int tid, model::ThreadVerdict verdict) {
  for (auto& each : report.diagnosis.threads) {
    if (each.tid == Tid{tid}) each.verdict = verdict;
  }
}

// Trees of 10 (idle, 9 children), 50 (slow), 60 (stopped), 70 (running).
model::Report four_trees() {
  test::SnapshotBuilder tree;
  tree.process(10, "master").role("P1");
  tree.thread(10).waits_for_child(11);
  for (int pid = 11; pid < 20; ++pid) {
    tree.process(pid, "worker").child_of(10);
    tree.thread(pid).reads_pipe(7, 3);
  }
  tree.process(50, "copy").role("P2");
  tree.thread(50).reads_pipe(8, 0);
  tree.process(60, "editor").role("P3");
  tree.thread(60).is_stopped();
  tree.process(70, "burn").role("P4");
  tree.thread(70).runs();
  model::Report report = report_of(tree, {10, 50, 60, 70});
  set(report, 50, kSlow);
  set(report, 60, kStopped);
  set(report, 70, kRunning);
  return report;
}

TEST(Calm, EachTreeSaysInOneLineWhatItDoes) {
  EXPECT_EQ(
      text_report(four_trees(), {}),
      "Nothing is stuck: 13 processes, 13 threads: 10 waiting, 1 running, 1 slow, 1 stopped.\n"
      "\n"
      "  P4 burn (70)                 running\n"
      "  P2 copy (50)                 slow, it moves on: reads pipe:8 (fd 0)\n"
      "  P3 editor (60)               stopped by a signal or a tracer\n"
      "  P1 master (10) +9 processes  idle: waits for child 11\n"
      "\n"
      "1 of 13 threads only napped, polled or moved slowly meanwhile; a longer look tells more: "
      "stucktrace\n"
      "explain --settle 2s 10 50 60 70\n");
}

TEST(Calm, JsonSaysItToo) {
  const auto json = nlohmann::json::parse(json_report(four_trees()));
  ASSERT_EQ(json["trees"].size(), 4U);
  EXPECT_EQ(json["trees"][0]["processes"], 10);
  EXPECT_EQ(json["trees"][0]["activity"], "idle: waits for child 11");
  EXPECT_EQ(json["trees"][1]["verdict"], "slow");
  EXPECT_EQ(json["look"]["settle_ms"], 200);
}

TEST(Calm, NoAdviceAfterALongLookOrAboutIdleThreads) {
  model::Report report = four_trees();
  report.look->settle = seconds{2};
  EXPECT_THAT(text_report(report, {}), Not(HasSubstr("--settle")));
  report = four_trees();
  set(report, 50, kWaiting);
  EXPECT_THAT(text_report(report, {}), Not(HasSubstr("--settle")));
  report.look.reset();  // a trace: it looks for as long as it runs
  set(report, 50, kSlow);
  EXPECT_THAT(text_report(report, {}), Not(HasSubstr("--settle")));
}

TEST(Calm, OfTheWholeMachineTheChildrenOfTheRootAreTheTrees) {
  test::SnapshotBuilder tree;
  tree.process(1, "init").role("P1");
  tree.thread(1).waits_for_children({10, 20});
  for (const int pid : {10, 20, 30}) {
    tree.process(pid, "shell").child_of(1);
    tree.thread(pid).waits_for_signal();
    tree.process(pid + 1, "job").child_of(pid);
    tree.thread(pid + 1).waits_for_signal();
  }
  model::Report report = report_of(tree, {1});
  report.look->whole_machine = true;
  EXPECT_THAT(text_report(report, {}),
              AllOf(HasSubstr("  P1 init (1)           idle: waits for children 10, 20\n"),
                    HasSubstr("  3 × shell +1 process  idle: waits for a signal\n")));
}

// ---- what could not be seen ---------------------------------------------------------------------

TEST(Sight, OneLineAReason) {
  model::Report report;
  for (int pid = 1; pid <= 200; ++pid) {
    report.could_not_see.push_back(
        fmt::format("process {} (d) belongs to another user (uid 0): its memory", pid));
  }
  report.could_not_see.push_back("process 300 (x): its descriptors could not be read (gone)");
  report.could_not_see.push_back("the time limit had passed before process 301 was read");
  report.could_not_see.push_back("the time limit had passed before process 302 was read");
  report.could_not_see.push_back("stacks are missing: the time limit had passed");
  EXPECT_THAT(
      unseen_sentences(report),
      ElementsAre("each of 200 processes (1 (d), 2 (d), 3 (d), 4 (d) and 196 more) belongs to "
                  "another user (uid 0): its memory",
                  "process 300 (x): its descriptors could not be read (gone)",
                  "the time limit had passed before each of 2 processes (301, 302) was read",
                  "stacks are missing: the time limit had passed"));
}

TEST(Sight, HostileNamesSplitAGroupAtMost) {
  model::Report report;
  report.could_not_see = {"process 1 (a) b: c) belongs to", "process 2 (a", "process x (b) c",
                          "process ", "process 3"};
  EXPECT_EQ(unseen_sentences(report).size(), 5U);
}

TEST(Sight, UnknownFactsAreSaid) {
  test::SnapshotBuilder tree;
  tree.process(10, "server").role("P1").pipe(7, 4, model::FdMode::kWrite).thread(11);
  tree.thread(10).writes_pipe(7, 4);
  tree.thread(11).waits_for_signal();
  tree.unasked_pipe(7);
  for (const int tid : {10, 11}) {
    tree.thread(tid).get().syscall = model::unknown("no ptrace permission");
  }
  const auto lines = unseen_sentences(report_of(tree, {10}));
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[0],
            "the system calls of 2 threads of process 10 (server) could not be read: no ptrace "
            "permission");
  EXPECT_THAT(lines[1], testing::StartsWith("whether pipe:7 is full or readable: "));
}

TEST(Sight, WhatIsHiddenIsNotTakenForHealthy) {
  test::SnapshotBuilder tree;
  tree.process(10, "server").role("P1").thread(11);
  for (const int tid : {10, 11}) {
    tree.thread(tid).waits_for_unknown("no ptrace permission");
    tree.thread(tid).get().syscall = model::unknown("no ptrace permission");
  }
  EXPECT_THAT(
      text_report(report_of(tree, {10}), {}),
      testing::StartsWith("Nothing was found stuck, but what 2 of 2 threads do could not be "
                          "seen: 1 process, 2 threads"));
}

TEST(Sight, WaysInFollowInTheText) {
  model::Report report = four_trees();
  report.could_not_see = {"something\x1b[31m"};
  report.ways_in = {"with more permission: sudo stucktrace explain 10"};
  const std::string text = text_report(report, {});
  EXPECT_THAT(text, testing::EndsWith("  → with more permission: sudo stucktrace explain 10\n"));
  EXPECT_TRUE(test::terminal_safe(text));
}

}  // namespace
}  // namespace stucktrace::render
