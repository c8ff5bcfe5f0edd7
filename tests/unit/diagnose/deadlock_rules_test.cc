#include <csignal>

#include "tests/unit/diagnose/fixtures.h"

namespace stucktrace::diagnose {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

// A parent that waits for a child which reads a pipe whose write ends the two of them hold.
SnapshotBuilder waits_for_its_reader() {
  SnapshotBuilder tree;
  tree.process(10, "parent").role("P1").pipe(1, 4, FdMode::kWrite);
  tree.process(20, "child")
      .role("P2")
      .child_of(10)
      .pipe(1, 0, FdMode::kRead)
      .pipe(1, 4, FdMode::kWrite);
  tree.thread(10).waits_for_child(20).since(3s);
  tree.thread(20).reads_pipe(1, 0).since(3s);
  return tree;
}

TEST(Deadlock, ParentWaitsForAChildThatReadsFromIt) {
  const model::Diagnosis diagnosis = diagnose_tree(waits_for_its_reader());
  ASSERT_EQ(rules_of(diagnosis), "deadlock/proven");
  const model::Finding& finding = diagnosis.findings[0];
  EXPECT_EQ(finding.cycle.size(), 2U);
  EXPECT_EQ(finding.chain[0].pid, base::Pid{10});
  EXPECT_THAT(all_text(finding), HasSubstr("also holds a write end of that pipe itself (fd 4)"));
  EXPECT_THAT(finding.remedy, HasSubstr("Close the write end in P1"));
}

TEST(Deadlock, AnIdleHelperThreadLeavesItLikely) {
  SnapshotBuilder tree;
  tree.process(10, "python3").thread(11).pipe(1, 4, FdMode::kWrite);
  tree.process(20, "python3").child_of(10).pipe(1, 3, FdMode::kRead);
  tree.process(21, "python3").child_of(10).pipe(1, 3, FdMode::kRead);
  tree.thread(10).waits_for_child(20).since(3s);
  tree.thread(11).waits_on_condition();  // QueueFeederThread with nothing to feed
  tree.thread(20).reads_pipe(1, 3).since(3s);
  tree.thread(21).waits_on_shared_futex(5, {10, 20, 21});
  const model::Diagnosis diagnosis = diagnose_tree(tree);
  ASSERT_EQ(rules_of(diagnosis), "deadlock/likely");
  EXPECT_THAT(all_text(diagnosis.findings[0]), HasSubstr("thread 11 of process 10 waits to be"));
  // The main thread of the parent is the idle one: a handler may wake it.
  tree.thread(10).waits_on_condition();
  tree.thread(11).waits_for_child(20).since(3s);
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
}

TEST(Deadlock, TwoProcessesReadEachOther) {
  SnapshotBuilder tree;
  tree.process(10, "a").pipe(1, 3, FdMode::kRead).pipe(2, 4, FdMode::kWrite);
  tree.process(20, "b").pipe(1, 4, FdMode::kWrite).pipe(2, 3, FdMode::kRead);
  tree.thread(10).reads_pipe(1, 3).since(3s);
  tree.thread(20).reads_pipe(2, 3).since(3s);
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "deadlock/proven");
  tree.incomplete(1, "processes of other users could not be read");
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "deadlock/likely");
  tree.thread(20).accepts();
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
}

TEST(Deadlock, OthersWaitingBehindAreCountedNotReported) {
  SnapshotBuilder tree = waits_for_its_reader();
  tree.process(5, "sh");
  tree.thread(5).waits_for_child(10);
  tree.process(6, "cat").pipe(9, 0, FdMode::kRead);
  tree.resource(test::pipe_id(9)).holders.push_back({base::Pid{10}, 1, FdMode::kWrite});
  tree.thread(6).reads_pipe(9, 0);
  const model::Diagnosis diagnosis = diagnose_tree(tree);
  ASSERT_EQ(rules_of(diagnosis), "deadlock/proven");
  EXPECT_THAT(diagnosis.findings[0].also_blocked, ElementsAre(base::Tid{5}, base::Tid{6}));
  for (const auto& thread : diagnosis.threads) {
    EXPECT_EQ(thread.verdict, model::ThreadVerdict::kStuck) << thread.tid.value();
  }
}

TEST(TimedDeadlock, AJoinWithATimeOutOnAReader) {
  SnapshotBuilder tree = waits_for_its_reader();
  tree.thread(10).timeout(10s);
  const model::Diagnosis diagnosis = diagnose_tree(tree);
  ASSERT_EQ(rules_of(diagnosis), "timed-deadlock/until");
  EXPECT_EQ(diagnosis.findings[0].resolves_in, 7s);
  tree.thread(20).since(200ms);
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
}

TEST(SocketFull, BothSidesSend) {
  SnapshotBuilder tree;
  tree.process(10, "a").unix_socket(1, 3, 2);
  tree.process(20, "b").unix_socket(2, 3, 1);
  tree.full_unix(1).full_unix(2);
  tree.thread(10).writes_unix(1, 3).since(3s);
  tree.thread(20).writes_unix(2, 3).since(3s);
  const model::Diagnosis diagnosis = diagnose_tree(tree);
  ASSERT_EQ(rules_of(diagnosis), "socket-full/proven");
  EXPECT_THAT(diagnosis.findings[0].headline, HasSubstr("both sides are sending"));
  tree.thread(20).reads_unix(2, 3);
  tree.resource(test::unix_id(2)).readable = true;
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
}

TEST(UnreadOutput, ParentWaitsForTheChildWhoseOutputItShouldRead) {
  SnapshotBuilder tree;
  tree.process(10, "python3").role("P1").pipe(1, 3, FdMode::kRead);
  tree.process(20, "make").role("P2").child_of(10).pipe(1, 2, FdMode::kWrite);
  tree.full_pipe(1, 45'066);
  tree.thread(10).waits_for_child(20).since(3s).python("wait", "/usr/lib/python3.11/subprocess.py");
  tree.thread(20).writes_pipe(1, 2, 4'097).since(3s);
  const model::Diagnosis diagnosis = diagnose_tree(tree);
  ASSERT_EQ(rules_of(diagnosis), "unread-output/proven");
  EXPECT_THAT(diagnosis.findings[0].headline, HasSubstr("nobody reads the stderr of P2 make"));
  EXPECT_THAT(diagnosis.findings[0].remedy, HasSubstr("communicate()"));
  tree.resource(test::pipe_id(1)).full = false;
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "") << "room in the pipe: it goes on at once";
}

// A runtime: one thread waits for the child's end, others keep house by the clock.
TEST(UnreadOutput, HousekeepingThreadsLeaveItLikely) {
  SnapshotBuilder tree;
  tree.process(10, "java").thread(11).thread(12).pipe(1, 7, FdMode::kRead);
  tree.process(20, "head").child_of(10).pipe(1, 1, FdMode::kWrite);
  tree.full_pipe(1);
  tree.thread(10).joins(12);
  tree.thread(11).waits_for_child(20);
  tree.thread(12).waits_on_condition().timeout(3s);
  tree.thread(20).writes_pipe(1, 1).since(3s);
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "unread-output/likely");
  tree.thread(12).sleeps(3s);
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "") << "it may be about to read";
}

TEST(PipeFull, AReaderThatCanNeverRead) {
  SnapshotBuilder tree;
  tree.process(10, "yes").pipe(1, 3, FdMode::kWrite);
  tree.process(20, "app").pipe(1, 0, FdMode::kRead);
  tree.full_pipe(1);
  tree.thread(10).writes_pipe(1, 3).since(3s);
  tree.thread(20).waits_on_condition();
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "pipe-full/proven");
  tree.thread(20).waits_for_signal();
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
}

TEST(PipeFull, SeveralWritersOfOnePipeAreOneFinding) {
  SnapshotBuilder tree;
  tree.process(10, "a").pipe(1, 3, FdMode::kWrite);
  tree.process(11, "b").pipe(1, 3, FdMode::kWrite);
  tree.process(20, "app").pipe(1, 0, FdMode::kRead);
  tree.full_pipe(1);
  tree.thread(10).writes_pipe(1, 3).since(3s);
  tree.thread(11).writes_pipe(1, 3).since(3s);
  tree.thread(20).waits_on_condition();
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "pipe-full/proven");
}

TEST(PipeFull, ANappingThreadThatHadItsChanceLeavesItLikely) {
  SnapshotBuilder tree;
  tree.process(10, "server").thread(11).pipe(1, 3, FdMode::kRead);
  tree.process(20, "job").child_of(10).pipe(1, 5, FdMode::kWrite);
  tree.full_pipe(1);
  tree.thread(10).waits_for_child(20).since(3s);
  tree.thread(20).writes_pipe(1, 5).since(3s);
  tree.thread(11).sleeps(100ms).moved(2);
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "pipe-full/likely");
  tree.thread(11).sleeps(5s).since(4s);  // a throttled reader, asleep since before the stall
  EXPECT_EQ(rules_of(diagnose_tree(tree, 199ms)), "pipe-full/likely")
      << "it woke between the samples";
}

TEST(PipeFull, ANappingThreadThatHadNoChanceYetIsGivenIt) {
  SnapshotBuilder tree;
  tree.process(10, "server").thread(11).pipe(1, 3, FdMode::kRead);
  tree.process(20, "job").child_of(10).pipe(1, 5, FdMode::kWrite);
  tree.full_pipe(1);
  tree.thread(10).waits_for_child(20).since(3s);
  tree.thread(20).writes_pipe(1, 5).since(3s);
  tree.thread(11).sleeps(5s).since(4s);
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
}

TEST(SelfHeldWriteEnd, ALoneReaderOfItsOwnPipe) {
  SnapshotBuilder tree;
  tree.process(5, "sh");
  tree.process(10, "reader").child_of(5).pipe(1, 0, FdMode::kRead).pipe(1, 4, FdMode::kWrite);
  tree.thread(5).waits_for_child(10);
  tree.thread(10).reads_pipe(1, 0).since(3s);
  const model::Diagnosis diagnosis = diagnose_tree(tree);
  ASSERT_EQ(rules_of(diagnosis), "self-held-write-end/proven");
  EXPECT_THAT(diagnosis.findings[0].remedy, HasSubstr("fd 4"));
  EXPECT_THAT(diagnosis.findings[0].also_blocked, Contains(base::Tid{5}));
  tree.incomplete(1, "processes of other users could not be read");
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "self-held-write-end/likely");
}

// Descriptors are always on their way between some processes of a machine.
TEST(SelfHeldWriteEnd, WhatCannotBeSeenNowIsNobodysIfItWasNobodysBefore) {
  SnapshotBuilder tree;
  tree.process(10, "reader").pipe(1, 0, FdMode::kRead).pipe(1, 4, FdMode::kWrite);
  tree.thread(10).reads_pipe(1, 0).since(3s);
  SnapshotBuilder later = tree;
  later.incomplete(1, "1 descriptor sent to a socket may be one of it");
  const model::Snapshot now = later.samples().now;
  const auto seen = [&](const SnapshotBuilder& before) {
    return rules_of(diagnose(before.samples().before, now, nullptr, {}));
  };
  EXPECT_EQ(seen(tree), "self-held-write-end/proven");
  EXPECT_EQ(seen(later), "self-held-write-end/likely");
  // Somebody had it then, and may have given it away.
  SnapshotBuilder shared = tree;
  shared.process(20, "other").pipe(1, 6, FdMode::kWrite);
  EXPECT_EQ(seen(shared), "self-held-write-end/likely");
}

TEST(SelfHeldWriteEnd, WorkInAnIoUringMayWrite) {
  SnapshotBuilder tree;
  tree.process(10, "app")
      .pipe(7, 3, FdMode::kRead)
      .pipe(7, 4, FdMode::kWrite)
      .holds({model::ResourceKind::kIoUring, 0, 0, 0}, 5, FdMode::kBoth);
  tree.thread(10).reads_pipe(7, 3);
  const model::Diagnosis diagnosis = diagnose_tree(tree);
  ASSERT_EQ(rules_of(diagnosis), "self-held-write-end/likely");
  EXPECT_THAT(all_text(diagnosis.findings[0]), testing::HasSubstr("an io_uring (fd 5)"));
}

TEST(SelfHeldWriteEnd, SeveralReadersThatHoldEachOthers) {
  SnapshotBuilder tree;
  for (const int pid : {10, 11}) {
    tree.process(pid, "worker").pipe(1, 0, FdMode::kRead).pipe(1, 4, FdMode::kWrite);
    tree.thread(pid).reads_pipe(1, 0).since(3s);
  }
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "self-held-write-end/proven");
}

TEST(SelfHeldWriteEnd, AnotherWriterOrAnIdleThreadIsANearMiss) {
  SnapshotBuilder tree;
  tree.process(10, "reader").pipe(1, 0, FdMode::kRead).pipe(1, 4, FdMode::kWrite);
  tree.process(11, "server").pipe(1, 1, FdMode::kWrite);
  tree.thread(10).reads_pipe(1, 0).since(3s);
  tree.thread(11).accepts();
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
  SnapshotBuilder threaded;
  threaded.process(10, "reader").thread(12).pipe(1, 0, FdMode::kRead).pipe(1, 4, FdMode::kWrite);
  threaded.thread(10).waits_on_condition();
  threaded.thread(12).reads_pipe(1, 0).since(3s);
  EXPECT_EQ(rules_of(diagnose_tree(threaded)), "");
}

// The self-pipe of a program that simply reads it.
TEST(SelfHeldWriteEnd, AHandlerMayWriteToThePipe) {
  const auto reader = [](const std::vector<int>& handlers) {
    SnapshotBuilder tree;
    tree.process(10, "reader").pipe(1, 3, FdMode::kRead).pipe(1, 4, FdMode::kWrite);
    tree.process(11, "child").child_of(10);
    test::ProcessBuilder(tree, base::Pid{10}).catches(handlers);
    tree.thread(10).reads_pipe(1, 3).since(3s);
    tree.thread(11).sleeps(20s);
    return tree;
  };
  EXPECT_EQ(rules_of(diagnose_tree(reader({}))), "self-held-write-end/proven");
  EXPECT_EQ(rules_of(diagnose_tree(reader({SIGCHLD}))), "") << "the child's end is told";
  for (const int signo : {SIGUSR1, SIGTERM, SIGINT, SIGWINCH, SIGURG, SIGCONT}) {
    const model::Diagnosis diagnosis = diagnose_tree(reader({signo}));
    ASSERT_EQ(rules_of(diagnosis), "self-held-write-end/likely") << signo;
    EXPECT_THAT(all_text(diagnosis.findings[0]), HasSubstr("one of them may write to the pipe"));
  }
  SnapshotBuilder interpreter = reader({SIGINT});
  interpreter.thread(10).python("get", "/usr/lib/python3.11/multiprocessing/queues.py");
  EXPECT_EQ(rules_of(diagnose_tree(interpreter)), "self-held-write-end/proven");
  SnapshotBuilder childless = reader({SIGCHLD});
  test::ProcessBuilder(childless, base::Pid{11}).zombie();
  EXPECT_EQ(rules_of(diagnose_tree(childless)), "self-held-write-end/proven");
}

TEST(LeakedWriteEnd, AnOrphanKeepsThePipeOpen) {
  SnapshotBuilder tree;
  tree.process(5, "ci");
  tree.process(10, "sh").child_of(5).pipe(1, 3, FdMode::kRead);
  tree.process(30, "daemon").outside_the_tree().pipe(1, 1, FdMode::kWrite);
  tree.thread(5).waits_for_child(10);
  tree.thread(10).reads_pipe(1, 3).since(30s);
  tree.thread(30).accepts();
  const model::Diagnosis diagnosis = diagnose_tree(tree);
  ASSERT_EQ(rules_of(diagnosis), "leaked-write-end/likely");
  EXPECT_THAT(diagnosis.findings[0].headline, HasSubstr("only daemon (pid 30) still holds"));
  tree.thread(30).runs();
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "") << "a busy writer may write";
}

TEST(LeakedWriteEnd, AHolderThatSleepsMayWriteAfterwards) {
  SnapshotBuilder tree;
  tree.process(10, "sh").child_of(5).pipe(1, 3, FdMode::kRead);
  tree.process(30, "daemon").outside_the_tree().pipe(1, 1, FdMode::kWrite);
  tree.thread(10).reads_pipe(1, 3).since(30s);
  tree.thread(30).sleeps(60s);
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
  // tail -f: in all this time it would have written, had it been about to.
  tree.thread(30).sleeps(1s);
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "leaked-write-end/likely");
}

TEST(LeakedWriteEnd, ALoggerLivesAsLongAsItsDaemon) {
  SnapshotBuilder tree;
  tree.process(10, "logger").child_of(5).pipe(1, 0, FdMode::kRead);
  tree.process(30, "daemon").outside_the_tree().pipe(1, 1, FdMode::kWrite);
  tree.thread(10).reads_pipe(1, 0).since(30s);
  tree.thread(30).accepts();
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
  SnapshotBuilder leaked;
  leaked.process(10, "logger").child_of(5).pipe(1, 0, FdMode::kRead);
  leaked.process(30, "daemon").outside_the_tree().pipe(1, 7, FdMode::kWrite);
  leaked.thread(10).reads_pipe(1, 0).since(30s);
  leaked.thread(30).accepts();
  EXPECT_EQ(rules_of(diagnose_tree(leaked)), "leaked-write-end/likely") << "not its output";
}

TEST(ExitHeldOpen, WhatAGoneJobLeftBehindKeepsItsOutputOpen) {
  SnapshotBuilder tree;
  tree.process(5, "agent");
  tree.thread(5).accepts();
  tree.process(10, "ci").child_of(5).group(10, 0).pipe(1, 3, FdMode::kRead);
  tree.process(30, "server").group(29, 0).outside_the_tree().pipe(1, 1, FdMode::kWrite);
  tree.thread(10).reads_pipe(1, 3).since(30s);
  tree.thread(30).accepts();
  const model::Diagnosis diagnosis = diagnose_tree(tree);
  ASSERT_EQ(rules_of(diagnosis), "exit-held-open/likely");
  EXPECT_THAT(diagnosis.findings[0].headline, HasSubstr("a job whose main process is gone"));
  EXPECT_THAT(diagnosis.findings[0].remedy, HasSubstr("kill 30"));
  // With its leader alive it is part of a job that goes on.
  tree.process(29, "make").group(29, 0);
  tree.thread(29).sleeps(60s);
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "leaked-write-end/likely");
}

TEST(LeakedWriteEnd, ADescendantOrALegitimateWriterIsNone) {
  SnapshotBuilder tree;
  tree.process(10, "sh").pipe(1, 3, FdMode::kRead);
  tree.process(30, "child").child_of(10).pipe(1, 1, FdMode::kWrite);
  tree.thread(10).reads_pipe(1, 3).since(30s);
  tree.thread(30).accepts();
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
}

}  // namespace
}  // namespace stucktrace::diagnose
