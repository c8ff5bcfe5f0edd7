#include "tracer/cli/run_limits.h"

#include <gtest/gtest.h>

#include <vector>

#include "tracer/cli/live_tree.h"

namespace stucktrace::cli {
namespace {

using namespace std::chrono_literals;
using enum EndStep;

base::Instant at(base::Nanoseconds time) {
  return {1h + time};
}

EndFacts facts(base::Nanoseconds time) {
  EndFacts facts;
  facts.now = at(time);
  return facts;
}

RunLimits with_deadline(base::Nanoseconds deadline, base::Nanoseconds grace = 10s) {
  RunLimits limits;
  limits.deadline = deadline;
  limits.grace = grace;
  return limits;
}

// ---- the end -----------------------------------------------------------------------------------

TEST(TreeEnd, DiagnosesTerminatesAndKillsInThisOrder) {
  TreeEnd end(with_deadline(300s), at(0s));
  EXPECT_EQ(end.next(facts(299s)), kNothing);
  EXPECT_EQ(end.next(facts(300s)), kDiagnose);
  EXPECT_EQ(end.reason(), EndReason::kDeadline);
  EXPECT_EQ(end.next(facts(301s)), kNothing);
  EndFacts looked = facts(302s);
  looked.diagnosed = true;
  EXPECT_EQ(end.next(looked), kTerminate);
  EXPECT_TRUE(end.diagnosed());
  EXPECT_EQ(end.next(facts(311s)), kNothing);
  EXPECT_EQ(end.next(facts(312s)), kKill);
  EXPECT_EQ(end.next(facts(313s)), kKill);  // whatever was made meanwhile
  EXPECT_EQ(end.next(facts(312s + TreeEnd::kKillLimit)), kGiveUp);
  EXPECT_EQ(end.next(facts(400s)), kNothing);
}

TEST(TreeEnd, ALookThatTakesTooLongIsGivenUp) {
  TreeEnd end(with_deadline(1s), at(0s));
  EXPECT_EQ(end.next(facts(1s)), kDiagnose);
  EXPECT_EQ(end.next(facts(1s + TreeEnd::kLook - 1ms)), kNothing);
  EXPECT_EQ(end.next(facts(1s + TreeEnd::kLook)), kTerminate);
  EXPECT_FALSE(end.diagnosed());
}

TEST(TreeEnd, WithoutALimitNothingEverEnds) {
  TreeEnd end(RunLimits{}, at(0s));
  EndFacts all = facts(1000h);
  all.command_ended = true;
  all.cancelled = true;
  EXPECT_EQ(end.next(all), kNothing);
  EXPECT_FALSE(RunLimits{}.any());
}

TEST(TreeEnd, ToldToEndEverythingBecomesShort) {
  TreeEnd end(with_deadline(300s, 60s), at(0s));
  EndFacts told = facts(5s);
  told.cancelled = true;
  EXPECT_EQ(end.next(told), kDiagnose);
  EXPECT_EQ(end.reason(), EndReason::kCancelled);
  EXPECT_EQ(end.look_limit(), TreeEnd::kCancelledLook);
  told.now = at(5s + TreeEnd::kCancelledLook);
  EXPECT_EQ(end.next(told), kTerminate);
  told.now = at(5s + TreeEnd::kCancelledLook + TreeEnd::kCancelledGrace);
  EXPECT_EQ(end.next(told), kKill);
}

TEST(TreeEnd, ToldToEndAtTheDeadlineKeepsTheReasonAndHurries) {
  TreeEnd end(with_deadline(10s, 60s), at(0s));
  EXPECT_EQ(end.next(facts(10s)), kDiagnose);
  EndFacts told = facts(11s);
  told.cancelled = true;
  EXPECT_EQ(end.next(told), kNothing);
  told.now = at(11s + TreeEnd::kCancelledLook);
  EXPECT_EQ(end.next(told), kTerminate);
  EXPECT_EQ(end.reason(), EndReason::kDeadline);
  EXPECT_LE(end.grace(), TreeEnd::kCancelledGrace);
}

TEST(TreeEnd, ToldTwiceWaitsForNothing) {
  TreeEnd end(with_deadline(300s), at(0s));
  EndFacts told = facts(5s);
  told.cancelled = true;
  EXPECT_EQ(end.next(told), kDiagnose);
  told.cancelled_again = true;
  EXPECT_EQ(end.next(told), kTerminate);
  EXPECT_EQ(end.next(told), kKill);
}

TEST(TreeEnd, ALongDeadlinesGraceMayBeNone) {
  TreeEnd end(with_deadline(1s, 0s), at(0s));
  EXPECT_EQ(end.next(facts(1s)), kDiagnose);
  EndFacts looked = facts(2s);
  looked.diagnosed = true;
  EXPECT_EQ(end.next(looked), kTerminate);
  EXPECT_EQ(end.next(facts(2s)), kKill);
}

TEST(TreeEnd, OrphansMayFinishForAWhile) {
  RunLimits limits;
  limits.close_orphans = true;
  limits.stuck_after = 2s;
  TreeEnd end(limits, at(0s));
  EXPECT_EQ(end.next(facts(100s)), kNothing);
  EndFacts alone = facts(101s);
  alone.command_ended = true;
  EXPECT_EQ(end.next(alone), kNothing);
  alone.now = at(103s);
  EXPECT_EQ(end.next(alone), kDiagnose);
  EXPECT_EQ(end.reason(), EndReason::kOrphans);
}

TEST(TreeEnd, ToldToEndOnlyForTheOrphansSakeIsTheCommandsBusiness) {
  RunLimits limits;
  limits.close_orphans = true;
  TreeEnd end(limits, at(0s));
  EndFacts told = facts(1s);
  told.cancelled = true;
  EXPECT_EQ(end.next(told), kNothing);
}

TEST(TreeEnd, IdlenessAndFindingsAreReasons) {
  RunLimits limits;
  limits.idle = 60s;
  TreeEnd idle(limits, at(0s));
  EndFacts quiet = facts(60s);
  quiet.idle_expired = true;
  EXPECT_EQ(idle.next(quiet), kDiagnose);
  EXPECT_EQ(idle.reason(), EndReason::kIdle);
  limits = {};
  limits.fail_on = FailOn::kStuck;
  TreeEnd failing(limits, at(0s));
  EndFacts found = facts(3s);
  found.finding_fails = true;
  EXPECT_EQ(failing.next(found), kDiagnose);
  EXPECT_EQ(failing.reason(), EndReason::kFinding);
}

TEST(TreeEnd, TheLongestTimeCoversThePhasesThatAreLeft) {
  TreeEnd end(with_deadline(1s, 7s), at(0s));
  EXPECT_EQ(end.longest(at(0s)), 0s);
  EXPECT_EQ(end.next(facts(1s)), kDiagnose);
  EXPECT_EQ(end.longest(at(1s)), TreeEnd::kLook + 7s + TreeEnd::kKillLimit);
  EndFacts looked = facts(2s);
  looked.diagnosed = true;
  EXPECT_EQ(end.next(looked), kTerminate);
  EXPECT_EQ(end.longest(at(4s)), 5s + TreeEnd::kKillLimit);
}

TEST(EndedBy, NamesTheLimit) {
  RunLimits limits = with_deadline(300s);
  limits.idle = 60s;
  const model::Ended deadline = ended_by(EndReason::kDeadline, limits, false, 0);
  EXPECT_EQ(deadline.because, "deadline");
  EXPECT_EQ(deadline.words, "the deadline of 5 min has passed (--deadline)");
  EXPECT_EQ(deadline.limit, 300s);
  EXPECT_EQ(ended_by(EndReason::kIdle, limits, false, 0).limit, 60s);
  EXPECT_EQ(ended_by(EndReason::kCancelled, limits, false, 15).words,
            "stucktrace was told to end (SIGTERM)");
  EXPECT_NE(ended_by(EndReason::kDeadline, limits, true, 0).words.find("what it left behind"),
            std::string::npos);
}

// ---- idle --------------------------------------------------------------------------------------

class Idle : public testing::Test {
 protected:
  // Looks as often as is asked for, until `end`.
  void look_until(base::Nanoseconds end) {
    for (; time_ < end; time_ += 50ms) {
      activity_.cpu += cpu_per_second_ / 20;
      if (watch_.due(at(time_))) watch_.look(at(time_), activity_);
    }
  }
  IdleWatch watch_{10s};
  Activity activity_;
  base::Nanoseconds cpu_per_second_{};
  base::Nanoseconds time_{};
};

TEST_F(Idle, NothingForTheWholeTimeIsIdle) {
  look_until(9s);
  EXPECT_FALSE(watch_.expired(at(9s)));
  look_until(11s);
  EXPECT_TRUE(watch_.expired(at(11s)));
}

TEST_F(Idle, EachKindOfActivityBeginsAnew) {
  look_until(8s);
  ++activity_.written;
  look_until(16s);
  EXPECT_FALSE(watch_.expired(at(16s)));
  ++activity_.task_changes;
  look_until(24s);
  EXPECT_FALSE(watch_.expired(at(24s)));
  activity_.cpu += 20ms;
  look_until(32s);
  EXPECT_FALSE(watch_.expired(at(32s)));
  look_until(36s);
  EXPECT_TRUE(watch_.expired(at(36s)));
}

TEST_F(Idle, WhoOnlyAsksAgainAndAgainIsIdle) {
  cpu_per_second_ = 2ms;
  look_until(11s);
  EXPECT_TRUE(watch_.expired(at(11s)));
}

TEST_F(Idle, WhoComputesIsNot) {
  cpu_per_second_ = 50ms;
  look_until(60s);
  EXPECT_FALSE(watch_.expired(at(60s)));
}

TEST_F(Idle, ATimeInWhichTheToolDidNotRunDoesNotCount) {
  look_until(1s);
  time_ = 100s;  // stopped, or the machine stood still
  look_until(101s);
  EXPECT_FALSE(watch_.expired(at(101s)));
  look_until(112s);
  EXPECT_TRUE(watch_.expired(at(112s)));
}

// ---- findings ----------------------------------------------------------------------------------

// Stalled since the beginning.
model::FindingRecord record(model::Certainty certainty, bool circle, base::Nanoseconds seen) {
  model::FindingRecord record;
  record.finding.certainty = certainty;
  if (circle) record.finding.cycle = {base::Tid{1}, base::Tid{2}};
  record.stalled_since = at(0s);
  record.last_seen = at(seen);
  return record;
}

TEST(Fails, OnlyWhatIsCertainAndHasStood) {
  using model::Certainty;
  EXPECT_TRUE(fails(FailOn::kStuck, record(Certainty::kProven, false, 2s), 2s));
  EXPECT_FALSE(fails(FailOn::kStuck, record(Certainty::kProven, false, 1s), 2s));
  EXPECT_TRUE(may_fail(FailOn::kStuck, record(Certainty::kProven, false, 1s)));
  EXPECT_TRUE(fails(FailOn::kStuck, record(Certainty::kUntil, true, 2s), 2s));
  EXPECT_FALSE(fails(FailOn::kStuck, record(Certainty::kLikely, true, 99s), 2s));
  EXPECT_FALSE(fails(FailOn::kNone, record(Certainty::kProven, true, 99s), 2s));
}

TEST(Fails, ADeadlockIsAProvenCircle) {
  using model::Certainty;
  EXPECT_TRUE(fails(FailOn::kDeadlock, record(Certainty::kProven, true, 2s), 2s));
  EXPECT_FALSE(fails(FailOn::kDeadlock, record(Certainty::kProven, false, 2s), 2s));
  EXPECT_FALSE(fails(FailOn::kDeadlock, record(Certainty::kUntil, true, 2s), 2s));
}

TEST(Fails, AStallThatEndedTooLateFailsAsWell) {
  model::FindingRecord over = record(model::Certainty::kUntil, true, 5s);
  over.resolved_at = at(5s);
  EXPECT_TRUE(fails(FailOn::kStuck, over, 2s));
  over.last_seen = at(1s);  // when it ended after that was not seen
  EXPECT_FALSE(fails(FailOn::kStuck, over, 2s));
}

// ---- the live tree -----------------------------------------------------------------------------

model::Event seen(int pid, int parent) {
  model::TaskSeen seen;
  seen.parent = base::Pid{parent};
  return {1, at(0s), base::Pid{pid}, base::Tid{pid}, seen};
}

model::Event ended(int pid) {
  return {2, at(0s), base::Pid{pid}, base::Tid{pid}, model::TaskExit{}};
}

TEST(LiveTree, OrphansBecomeTops) {
  LiveTree tree;
  tree.observe(seen(10, 1));
  tree.observe(seen(11, 10));
  tree.observe(seen(12, 11));
  EXPECT_EQ(tree.tops(), std::vector{base::Pid{10}});
  tree.observe(ended(11));
  EXPECT_EQ(tree.tops(), (std::vector{base::Pid{10}, base::Pid{12}}));
  tree.observe(ended(10));
  EXPECT_EQ(tree.tops(), std::vector{base::Pid{12}});
  EXPECT_FALSE(tree.contains(base::Pid{10}));
  tree.observe(ended(12));
  EXPECT_TRUE(tree.tops().empty());
}

TEST(LiveTree, ThreadsAreNoProcesses) {
  LiveTree tree;
  tree.observe(seen(10, 1));
  tree.observe({3, at(0s), base::Pid{10}, base::Tid{15}, model::TaskSeen{}});
  tree.observe({4, at(0s), base::Pid{10}, base::Tid{15}, model::TaskExit{}});
  EXPECT_EQ(tree.tops(), std::vector{base::Pid{10}});
}

}  // namespace
}  // namespace stucktrace::cli
