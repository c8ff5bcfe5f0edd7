#include "tests/support/event_script.h"
#include "tests/unit/diagnose/fixtures.h"
#include "tracer/diagnose/finding_tracker.h"

namespace stucktrace::diagnose {
namespace {

using model::ResourceKind;
using test::EventScript;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::uint64_t kOutput = 77;

model::TaskSeen command(ResourceKind kind) {
  model::TaskSeen seen;
  seen.parent = base::Pid{5};
  seen.comm = "make";
  seen.fds = {test::fd_entry(1, kind, kOutput, FdMode::kWrite),
              test::fd_entry(2, ResourceKind::kTty, 3, FdMode::kBoth)};
  return seen;
}

// make (10) was launched with a pipe as its output, and has ended 5 s before the sample.
struct LeftBehind : testing::Test {
  LeftBehind() {
    tree.process(30, "server").child_of(1).pipe(kOutput, 4, FdMode::kWrite);
    tree.thread(30).accepts();
  }
  model::Diagnosis diagnose_after(const EventScript& script) {
    History history;
    for (const model::Event& event : script.events()) history.observe(event);
    const auto [before, now] = tree.samples();
    return diagnose(before, now, &history, {});
  }
  static EventScript ended(double ms, ResourceKind kind = ResourceKind::kPipe) {
    EventScript script;
    script.seen(-9000, 10, 10, command(kind));
    script.add(ms, 10, 10, model::TaskExit{});
    return script;
  }
  SnapshotBuilder tree;
};

TEST_F(LeftBehind, WhoKeepsTheOutputOfACommandThatHasEnded) {
  const model::Diagnosis diagnosis = diagnose_after(ended(-5000));
  ASSERT_EQ(rules_of(diagnosis), "exit-held-open/likely");
  const model::Finding& finding = diagnosis.findings[0];
  EXPECT_EQ(finding.pid, base::Pid{30});
  EXPECT_THAT(finding.headline, HasSubstr("make (pid 10) has ended"));
  EXPECT_THAT(finding.headline, HasSubstr("fd 4 on pipe:77"));
  EXPECT_THAT(all_text(finding), HasSubstr("standard output of the command"));
  EXPECT_THAT(finding.remedy, HasSubstr("kill 30"));
  // It serves whoever comes: nothing is wrong with it.
  EXPECT_EQ(diagnosis.threads[0].verdict, model::ThreadVerdict::kWaiting);
}

TEST_F(LeftBehind, ASocketIsKnownByItsNumberAlone) {
  tree = {};
  tree.process(30, "server").child_of(1).unix_socket(kOutput, 1, 78);
  tree.thread(30).accepts();
  EXPECT_EQ(rules_of(diagnose_after(ended(-5000, ResourceKind::kOtherSocket))),
            "exit-held-open/likely");
}

TEST_F(LeftBehind, NotWhileTheCommandRunsOrHasJustEnded) {
  EventScript running;
  running.seen(-9000, 10, 10, command(ResourceKind::kPipe));
  EXPECT_THAT(rules_of(diagnose_after(running)), IsEmpty());
  EXPECT_THAT(rules_of(diagnose_after(ended(-500))), IsEmpty());
}

TEST_F(LeftBehind, NotOfAProcessThatWasThereBefore) {
  model::TaskSeen seen = command(ResourceKind::kPipe);
  seen.at_attach = true;
  EventScript script;
  script.seen(-9000, 10, 10, seen);
  script.add(-5000, 10, 10, model::TaskExit{});
  EXPECT_THAT(rules_of(diagnose_after(script)), IsEmpty());
}

TEST_F(LeftBehind, NobodyReadsATerminalToItsEnd) {
  EXPECT_THAT(rules_of(diagnose_after(ended(-5000, ResourceKind::kTty))), IsEmpty());
}

TEST_F(LeftBehind, AStuckOneHasBothFindings) {
  tree.process(31, "worker")
      .child_of(1)
      .pipe(1, 3, FdMode::kRead)
      .pipe(1, 5, FdMode::kWrite)
      .pipe(kOutput, 2, FdMode::kWrite);
  tree.thread(31).reads_pipe(1, 3).since(4s);
  const model::Diagnosis diagnosis = diagnose_after(ended(-5000));
  EXPECT_THAT(rules_of(diagnosis), HasSubstr("exit-held-open/likely"));
  EXPECT_THAT(rules_of(diagnosis), HasSubstr("self-held-write-end/proven"));
}

TEST_F(LeftBehind, LastsWhateverItsThreadsDoAndEndsWithThem) {
  FindingTracker tracker;
  const EventScript script = ended(-5000);
  for (const model::Event& event : script.events()) tracker.observe(event);
  tracker.update(diagnose_after(script), test::kSampleTime, nullptr);
  EventScript later;
  later.call(100, 200, 30, 30, "accept", {3}, 7);
  for (const model::Event& event : later.events()) tracker.observe(event);
  ASSERT_EQ(tracker.records().size(), 1U);
  EXPECT_FALSE(tracker.records()[0].resolved_at);
  EXPECT_EQ(tracker.records()[0].stalled_since, EventScript::at_ms(-5000));
  // Closed in the next sample.
  tracker.update({}, test::kSampleTime + 1s, nullptr);
  EXPECT_TRUE(tracker.records()[0].resolved_at);
}

}  // namespace
}  // namespace stucktrace::diagnose
