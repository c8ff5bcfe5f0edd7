#include "tracer/render/text_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/render/birth_case.h"
#include "tests/unit/render/golden.h"
#include "tracer/base/text.h"
#include "tracer/render/escape.h"

namespace stucktrace::render {
namespace {

using base::Pid;
using base::Tid;
using test::EventScript;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

// The birth case's snapshot with nothing found.
model::Report calm_report() {
  model::Report report = test::birth_report();
  report.diagnosis.findings.clear();
  report.could_not_see.clear();
  using enum model::ThreadVerdict;
  report.diagnosis.threads = {{Tid{4711}, kWaiting}, {Tid{4712}, kWaiting}, {Tid{4714}, kRunning}};
  return report;
}

model::Thread waiting_thread(int tid, model::WaitKind kind, model::WaitOn on) {
  model::Thread thread;
  thread.tid = Tid{tid};
  thread.comm = "worker";
  thread.wait.kind = kind;
  thread.wait.on = {std::move(on)};
  return thread;
}

std::size_t line_count(const std::string& text) {
  return static_cast<std::size_t>(std::ranges::count(text, '\n'));
}

TEST(TextReport, BirthCase) {
  test::expect_golden("birth_report.txt", text_report(test::birth_report(), {}));
}

TEST(TextReport, VerboseHasAllEvidence) {
  const std::string text = text_report(test::birth_report(), {.verbose = true});
  EXPECT_THAT(text, HasSubstr("Evidence  pipe:25725: a copy of the write end polls not writable"));
  EXPECT_THAT(text_report(test::birth_report(), {}), Not(HasSubstr("Evidence")));
}

TEST(TextReport, FirstLineSaysHowCertain) {
  model::Report report = test::birth_report();
  EXPECT_THAT(text_report(report, {.width = 0}),
              StartsWith("STUCK until its time-out, at most 3.8 s: P2 python3 (pid 4712) said"));
  report.diagnosis.findings[0].resolves_in.reset();
  EXPECT_THAT(text_report(report, {}), StartsWith("STUCK until its time-out: "));
  report.diagnosis.findings[0].certainty = model::Certainty::kProven;
  EXPECT_THAT(text_report(report, {}), StartsWith("STUCK (proven): "));
  report.diagnosis.findings[0].certainty = model::Certainty::kLikely;
  EXPECT_THAT(text_report(report, {}), StartsWith("LIKELY STUCK: "));
}

TEST(TextReport, WhatIsOverIsTold) {
  model::Report report = calm_report();
  model::FindingRecord record = test::birth_finding();
  record.resolved_at = EventScript::at_ms(5003);
  record.resolved_by = "P1 read the pipe (fd 3)";
  report.history = {record};
  EXPECT_THAT(
      text_report(report, {.width = 0}),
      StartsWith("WAS STUCK for 4.9 s, until P1 read the pipe (fd 3). As seen 1.2 s into it: "
                 "P2 python3"));
  // A last sample from before the end does not make it present again.
  report.diagnosis.findings = {record.finding};
  EXPECT_THAT(text_report(report, {}), AllOf(StartsWith("WAS STUCK"), Not(HasSubstr("1 of 2"))));
  // The same again, not over this time.
  record.resolved_at.reset();
  report.history.push_back(record);
  EXPECT_THAT(text_report(report, {.width = 0}),
              AllOf(StartsWith("STUCK until"), HasSubstr("\n2. WAS STUCK for 4.9 s")));
}

TEST(TextReport, SeveralFindingsAreNumberedInTheirOrder) {
  model::Report report = test::birth_report();
  model::Finding second = report.diagnosis.findings[0];
  second.rule = "leaked-write-end";
  second.tid = Tid{4711};
  second.headline = "the second one";
  second.certainty = model::Certainty::kLikely;
  report.diagnosis.findings.push_back(second);
  const std::string text = text_report(report, {.width = 0});
  EXPECT_THAT(text, HasSubstr("(1 of 2 findings; 1 more below)"));
  EXPECT_THAT(text, HasSubstr("\n2. LIKELY STUCK: the second one\n"));
  EXPECT_LT(text.find("pipe-full-after-announce"), text.find("leaked-write-end"));
}

TEST(TextReport, ArrowsSayOnlyWhatTheEdgesSay) {
  model::Report report = test::birth_report();
  model::Finding& finding = report.diagnosis.findings[0];
  finding.cycle.clear();
  finding.chain[0].who = "reader";
  report.diagnosis.edges = {{Tid{4711}, {Tid{4712}, Tid{4714}}, {}, false, {}, "holds"},
                            {Tid{4712}, {Tid{4711}}, {}, false, {}, "holds"}};
  const std::string text = text_report(report, {});
  EXPECT_THAT(text, HasSubstr("    reader waits for"));
  EXPECT_THAT(text, AllOf(HasSubstr("▼ waits for\n"), HasSubstr("▽ or for\n")));
  EXPECT_THAT(text, Not(HasSubstr("cycle")));
  report.diagnosis.edges[0].to = {Tid{4712}};
  EXPECT_THAT(text_report(report, {}), HasSubstr("▽ and\n"));
}

TEST(TextReport, WrapsWithAHangingIndentAndNotInsideNumbers) {
  for (const std::size_t width : {60U, 80U, 100U}) {
    const std::string text = text_report(test::birth_report(), {.width = width});
    for (const std::string_view line : base::split(text, '\n')) {
      EXPECT_LE(columns(line), width) << line;
    }
    EXPECT_THAT(text, Not(testing::ContainsRegex("[0-9]\n +[0-9]")));
  }
}

TEST(TextReport, NothingStuckSaysWhatHappensInstead) {
  const std::string text = text_report(calm_report(), {});
  EXPECT_EQ(text,
            "Nothing is stuck: 2 processes, 3 threads: 2 waiting, 1 running.\n"
            "\n"
            "  P1 python3 (4711)  reads pipe:25730 (fd 5) in wait, 3.8 s left, for 1.2 s\n"
            "  P2 python3 (4712)  joins thread 4714, for 1.2 s\n"
            "  P2 python3 (4712)  writes pipe:25725 (fd 4), for 1.2 s\n");
}

TEST(TextReport, WithoutASnapshot) {
  EXPECT_EQ(text_report(model::Report{}, {}), "Nothing is stuck.\n");
}

TEST(TextReport, EqualThreadsShareALine) {
  model::Report report = calm_report();
  auto snapshot = std::make_shared<model::Snapshot>(*report.snapshot);
  model::OnFutex futex;
  futex.address = base::RemoteAddr{0x7000};
  for (int i = 0; i < 500; ++i) {
    snapshot->processes[1].threads.push_back(
        waiting_thread(5000 + i, model::WaitKind::kFutex, futex));
    report.diagnosis.threads.push_back({Tid{5000 + i}, model::ThreadVerdict::kWaiting});
  }
  report.snapshot = snapshot;
  std::string text = text_report(report, {});
  EXPECT_LT(line_count(text), 10U);
  EXPECT_THAT(text, HasSubstr("P2 python3 (4712)  500 threads (worker): waits for futex 0x7000"));
  EXPECT_THAT(text,
              StartsWith("Nothing is stuck: 2 processes, 503 threads: 502 waiting, 1 running"));

  // All different: told by kind.
  for (int i = 0; i < 500; ++i) {
    futex.address = base::RemoteAddr{0x8000 + static_cast<std::uint64_t>(i)};
    snapshot->processes[1].threads[static_cast<std::size_t>(i) + 2].wait.on = {futex};
  }
  text = text_report(report, {});
  EXPECT_LT(line_count(text), 60U);
  EXPECT_THAT(text, HasSubstr("500 threads (worker): waits to be woken (futex)\n"));
}

TEST(TextReport, DescribesEveryKindOfWait) {
  using model::WaitKind;
  model::OnChildren children;
  children.children = {Pid{12}, Pid{13}};
  model::OnFutex mutex;
  mutex.role = model::OnFutex::Role::kMutex;
  mutex.address = base::RemoteAddr{0xab};
  mutex.owner = Tid{14};
  mutex.owner_alive = false;
  model::OnLock lock;
  lock.file = {model::ResourceKind::kFileLock, 0, 9, 0};
  lock.owners = {Pid{15}};
  const model::ResourceId socket{model::ResourceKind::kTcpSocket, 0, 8, 0};
  const std::vector<std::tuple<WaitKind, model::WaitOn, std::string>> rows = {
      {WaitKind::kChildWait, children, "waits for children 12, 13"},
      {WaitKind::kChildWait, model::OnChildren{}, "waits for a child"},
      {WaitKind::kFutex, mutex, "waits for mutex 0xab held by vanished thread 14"},
      {WaitKind::kFileLock, lock, "waits for a lock on file-lock:9 held by 15"},
      {WaitKind::kAccept, model::OnFd{3, socket, model::FdMode::kRead},
       "waits for a connection on tcp:8 (fd 3)"},
      {WaitKind::kVfork, model::OnTask{Pid{16}}, "waits for process 16"},
      {WaitKind::kSignalWait, model::OnSignal{}, "waits for a signal"},
      {WaitKind::kTtyRead, model::OnOutside{"terminal user"}, "waits for terminal user"},
      {WaitKind::kOther, model::OnUnknown{"no permission"},
       "waits for something unknown: no permission"},
  };
  for (const auto& [kind, on, expected] : rows) {
    model::Report report = calm_report();
    auto snapshot = std::make_shared<model::Snapshot>(*report.snapshot);
    snapshot->processes[0].threads = {waiting_thread(4711, kind, on)};
    report.snapshot = snapshot;
    EXPECT_THAT(text_report(report, {}), HasSubstr("P1 python3 (4711)  " + expected + "\n"));
  }
}

TEST(TextReport, StacksOnRequest) {
  model::Report report = calm_report();
  EXPECT_THAT(text_report(report, {}), Not(HasSubstr("Stacks")));
  const std::string text = text_report(report, {.stacks = true});
  EXPECT_THAT(text,
              HasSubstr("      at poll+0x4f (libc.so.6)\n"
                        "      py /usr/lib/python3.11/multiprocessing/popen_fork.py:40 wait\n"));
  EXPECT_THAT(text, HasSubstr("P2 python3 (4712), thread 4714 (QueueFeederThread): writes pipe"));
}

TEST(TextReport, WhatWasNotSeenIsCountedNotHidden) {
  model::Report report = calm_report();
  for (int i = 0; i < 9; ++i) report.could_not_see.push_back("thing " + std::to_string(i));
  auto snapshot = std::make_shared<model::Snapshot>(*report.snapshot);
  snapshot->could_not_see = {"thing 3"};
  report.snapshot = snapshot;
  EXPECT_THAT(text_report(report, {}), HasSubstr("  - thing 4\n  - and 4 more (-v)\n"));
  EXPECT_THAT(text_report(report, {.verbose = true}),
              AllOf(HasSubstr("  - thing 8\n"), Not(HasSubstr("more (-v)"))));
}

TEST(TextReport, NothingFromOutsideReachesTheTerminalRaw) {
  const std::string evil = "\x1b[2J\x07\nSTUCK\r\xff\x9b";
  model::Report report = test::birth_report();
  report.could_not_see = {evil};
  model::Finding& finding = report.diagnosis.findings[0];
  finding.headline = finding.remedy = finding.rule = evil;
  finding.explanation = finding.evidence = {evil};
  finding.announced->text = finding.announced->evidence = evil;
  for (model::ChainLink& link : finding.chain) {
    link.who = link.what = link.on = evil;
    link.frames = {evil};
  }
  auto snapshot = std::make_shared<model::Snapshot>(*report.snapshot);
  for (model::Process& process : snapshot->processes) {
    process.comm = evil;
    for (model::Thread& thread : process.threads) {
      thread.comm = thread.name = thread.call_text = thread.stack_note = evil;
      thread.wait.on.clear();
      thread.wait.polling = true;
      thread.wait.polling_text = evil;
      thread.python = {{evil, evil, 1}};
      thread.stack = {{1, evil, evil, 2, evil, 3}};
    }
  }
  report.snapshot = snapshot;
  const TextOptions all{.verbose = true, .stacks = true};
  EXPECT_TRUE(test::terminal_safe(text_report(report, all)));
  EXPECT_THAT(text_report(report, all), Not(HasSubstr("\nSTUCK\r")));
  report.diagnosis.findings.clear();
  EXPECT_TRUE(test::terminal_safe(text_report(report, all)));
}

}  // namespace
}  // namespace stucktrace::render
