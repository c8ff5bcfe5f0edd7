#include "tracer/diagnose/finding_tracker.h"

#include "tests/support/event_script.h"
#include "tests/unit/diagnose/fixtures.h"

namespace stucktrace::diagnose {
namespace {

using model::ResourceKind;
using test::EventScript;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr base::Instant kNow = test::kSampleTime;

void feed(FindingTracker& tracker, const EventScript& script) {
  for (const model::Event& event : script.events()) tracker.observe(event);
}

EventScript processes() {
  model::TaskSeen seen;
  seen.comm = "python3";
  seen.fds = {test::fd_entry(3, ResourceKind::kPipe, kQueue, FdMode::kRead),
              test::fd_entry(4, ResourceKind::kPipe, kQueue, FdMode::kWrite),
              test::fd_entry(9, ResourceKind::kPipe, 1, FdMode::kRead)};
  EventScript script;
  script.seen(0, 4711, 4711, seen);
  seen.parent = base::Pid{4711};
  script.seen(1, 4712, 4712, seen);
  script.made(2, 4712, 4712, 4713, model::NewTaskKind::kThread, true);
  script.enter(3, 4712, 4713, "write", {4, 0x1000, 200'009});
  return script;
}

struct Stalled : testing::Test {
  void SetUp() override {
    feed(tracker, processes());
    tracker.update(diagnose_tree(birth_case()), kNow, nullptr);
  }
  model::FindingRecord record() { return tracker.records().at(0); }
  FindingTracker tracker;
};

TEST_F(Stalled, TheSameStallIsOneRecord) {
  EXPECT_THAT(tracker.take_new(), ElementsAre(0));
  tracker.update(diagnose_tree(birth_case()), kNow + 1s, nullptr);
  EXPECT_THAT(tracker.take_new(), IsEmpty());
  ASSERT_EQ(tracker.records().size(), 1U);
  EXPECT_EQ(record().first_reported, kNow);
  EXPECT_EQ(record().stalled_since, kNow + -4200ms);
  EXPECT_FALSE(record().resolved_at);
}

TEST_F(Stalled, AMoreSpecificOrMoreCertainFormReplaces) {
  SnapshotBuilder tree = birth_case();
  tree.thread(4712).python("_exit_function", "/usr/lib/python3.11/multiprocessing/util.py");
  tracker.update(diagnose_tree(tree), kNow + 1s, nullptr);
  ASSERT_EQ(tracker.records().size(), 1U);
  EXPECT_EQ(record().finding.rule, "pipe-full-after-announce");
  tracker.update(diagnose_tree(birth_case()), kNow + 2s, nullptr);
  EXPECT_EQ(record().finding.rule, "pipe-full-after-announce") << "a weaker form does not";
  tree.thread(4711).waits_for_child(4712);
  tracker.update(diagnose_tree(tree), kNow + 3s, nullptr);
  EXPECT_EQ(record().finding.certainty, Certainty::kProven);
}

TEST_F(Stalled, AReaderResolvesIt) {
  EventScript script;
  script.call(10, 11, 4711, 4711, "read", {3, 0x2000, 65536}, 65536);
  script.exit(12, 4712, 4713, "write", {4, 0x1000, 200'009}, 200'009);
  feed(tracker, script);
  EXPECT_EQ(record().resolved_at, EventScript::at_ms(12));
  EXPECT_EQ(record().resolved_by, "P1 (pid 4711) read the pipe (fd 3)");
}

TEST_F(Stalled, TheReadsReturnMayBeReportedAfterTheWrites) {
  EventScript script;
  script.enter(10, 4711, 4711, "read", {3, 0x2000, 65536});
  script.exit(11, 4712, 4713, "write", {4, 0x1000, 200'009}, 200'009);
  script.exit(12, 4711, 4711, "read", {3, 0x2000, 65536}, 65536);
  feed(tracker, script);
  EXPECT_EQ(record().resolved_at, EventScript::at_ms(11));
  EXPECT_EQ(record().resolved_by, "P1 (pid 4711) read the pipe (fd 3)");
}

TEST_F(Stalled, ReadsOfOtherPipesAreNotTheCause) {
  EventScript script;
  script.call(10, 11, 4711, 4711, "read", {9, 0x2000, 65536}, 65536);
  script.exit(12, 4712, 4713, "write", {4, 0x1000, 200'009}, 200'009);
  feed(tracker, script);
  EXPECT_TRUE(record().resolved_at);
  EXPECT_EQ(record().resolved_by, "");
}

TEST_F(Stalled, BrokenPipesRestartsAndDeaths) {
  EventScript restart;
  restart.exit(10, 4712, 4713, "write", {4, 0x1000, 200'009}, -512);
  feed(tracker, restart);
  EXPECT_FALSE(record().resolved_at) << "ERESTARTSYS: the kernel begins the call again";
  FindingTracker killed = tracker;
  EventScript epipe;
  epipe.exit(11, 4712, 4713, "write", {4, 0x1000, 200'009}, -32);
  feed(tracker, epipe);
  EXPECT_EQ(record().resolved_by, "the last reader closed its end (EPIPE)");
  EventScript death;
  death.add(11, 4712, 4713, model::TaskExit{true, 9, false});
  feed(killed, death);
  EXPECT_EQ(killed.records().at(0).resolved_by,
            "P2.T2 (thread 4713 of pid 4712) was killed by SIGKILL");
}

TEST_F(Stalled, ANewStallAfterTheOldOneIsANewRecord) {
  EventScript script;
  script.exit(12, 4712, 4713, "write", {4, 0x1000, 200'009}, 200'009);
  feed(tracker, script);
  tracker.update(diagnose_tree(birth_case()), kNow + 5s, nullptr);
  EXPECT_EQ(tracker.records().size(), 2U);
  EXPECT_THAT(tracker.take_new(), ElementsAre(0, 1));
}

TEST_F(Stalled, WithoutEventsAMovingThreadIsResolvedAndAWaitingOneIsNot) {
  SnapshotBuilder weaker = birth_case();
  weaker.thread(4711).accepts();
  tracker.update(diagnose_tree(weaker), kNow + 1s, nullptr);
  EXPECT_FALSE(record().resolved_at);
  SnapshotBuilder moving = birth_case();
  moving.thread(4713).moved(5);
  tracker.update(diagnose_tree(moving), kNow + 2s, nullptr);
  EXPECT_EQ(record().resolved_at, kNow + 2s);
}

}  // namespace
}  // namespace stucktrace::diagnose
