#include "tests/unit/diagnose/fixtures.h"

namespace stucktrace::diagnose {
namespace {

using testing::HasSubstr;

TEST(LockCycle, TwoThreadsTwoLocks) {
  SnapshotBuilder tree;
  tree.process(10, "app").thread(11).thread(12);
  tree.thread(10).waits_on_condition();
  tree.thread(11).waits_for_lock(0x10, 12);
  tree.thread(12).waits_for_lock(0x20, 11);
  const model::Diagnosis diagnosis = diagnose_tree(tree);
  ASSERT_EQ(rules_of(diagnosis), "lock-cycle/proven");
  EXPECT_EQ(diagnosis.findings[0].cycle.size(), 2U);
  tree.thread(12).runs();
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
}

TEST(LockCycle, ThreadsThatWakeByTheClockAndWaitAgainAreNotProven) {
  SnapshotBuilder tree;
  tree.process(10, "java").thread(11).thread(12);
  tree.thread(10).waits_for_signal();
  tree.thread(11).waits_for_lock(0x10, 12).timeout(1s).moved(1);
  tree.thread(12).waits_for_lock(0x20, 11).timeout(1s).moved(1);
  const model::Diagnosis diagnosis = diagnose_tree(tree);
  ASSERT_EQ(rules_of(diagnosis), "lock-cycle/until");
  EXPECT_FALSE(diagnosis.findings[0].resolves_in);
}

TEST(SelfDeadlock, ALockTakenTwice) {
  SnapshotBuilder tree;
  tree.process(10, "app").thread(11);
  tree.thread(11).joins(10);
  tree.thread(10).waits_for_lock(0x10, 10);
  const model::Diagnosis diagnosis = diagnose_tree(tree);
  ASSERT_EQ(rules_of(diagnosis), "self-deadlock/proven");
  EXPECT_EQ(diagnosis.findings[0].cycle, std::vector{base::Tid{10}});
}

TEST(ForkLostLock, TheOwnerLivesInTheParent) {
  SnapshotBuilder tree;
  tree.process(10, "app").thread(11);
  tree.process(20, "app").child_of(10);
  tree.thread(10).waits_for_child(20);
  tree.thread(11).accepts();
  tree.thread(20).waits_for_lock(0x10, 11, false);
  const model::Diagnosis diagnosis = diagnose_tree(tree);
  ASSERT_EQ(rules_of(diagnosis), "fork-lost-lock/proven");
  EXPECT_THAT(diagnosis.findings[0].headline, HasSubstr("thread 11, lives only in app (pid 10)"));
  EXPECT_EQ(diagnosis.findings[0].also_blocked, std::vector{base::Tid{10}});
}

TEST(ForkLostLock, AnUnlockedWordOrALiveOwnerIsNone) {
  SnapshotBuilder tree;
  tree.process(10, "app").thread(11);
  tree.process(20, "app").child_of(10);
  tree.thread(10).waits_for_child(20);
  tree.thread(11).accepts();
  tree.thread(20).waits_for_lock(0x10, 11, false);
  std::get<model::OnFutex>(tree.thread(20).get().wait.on[0]).word = 0U;
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
  SnapshotBuilder alive;
  alive.process(10, "app").thread(11);
  alive.thread(10).waits_for_lock(0x10, 11);
  alive.thread(11).accepts();
  EXPECT_EQ(rules_of(diagnose_tree(alive)), "");
}

TEST(LockOwnerGone, TheOwnerThreadEnded) {
  SnapshotBuilder tree;
  tree.process(10, "app");
  tree.thread(10).waits_for_lock(0x10, 99, false);
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "lock-owner-gone/proven");
  SnapshotBuilder threaded;
  threaded.process(10, "app").thread(11);
  threaded.thread(10).waits_for_lock(0x10, 99, false).since(3s);
  threaded.thread(11).accepts();
  EXPECT_EQ(rules_of(diagnose_tree(threaded)), "lock-owner-gone/likely");
}

TEST(LockOwnerGone, AThreadThatNapsMayReleaseTheLock) {
  SnapshotBuilder tree;
  tree.process(10, "app").thread(11);
  tree.thread(10).waits_for_lock(0x10, 99, false).since(3s);
  tree.thread(11).joins(10);
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "lock-owner-gone/proven");
  tree.thread(11).sleeps(20s);
  const model::Diagnosis diagnosis = diagnose_tree(tree);
  ASSERT_EQ(rules_of(diagnosis), "lock-owner-gone/likely");
  EXPECT_THAT(all_text(diagnosis.findings[0]), HasSubstr("thread 11 of process 10 wakes by its"));
  tree.thread(10).since(100ms);
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "") << "not for long yet";
}

TEST(ForkLostLock, WhoHadAnInterpretersLockAtTheForkIsInferred) {
  SnapshotBuilder tree;
  tree.process(10, "python3").thread(11);
  tree.process(20, "python3").child_of(10);
  tree.thread(10).waits_for_child(20);
  tree.thread(11).accepts();
  tree.thread(20).waits_for_lock(0x10, 11, false);
  std::get<model::OnFutex>(tree.thread(20).get().wait.on[0]).role =
      model::OnFutex::Role::kRuntimeLock;
  const model::Diagnosis diagnosis = diagnose_tree(tree);
  ASSERT_EQ(rules_of(diagnosis), "fork-lost-lock/likely");
  EXPECT_THAT(all_text(diagnosis.findings[0]), HasSubstr("had the lock at the moment of the fork"));
}

TEST(FileLock, ACircleThroughALockAndAChild) {
  SnapshotBuilder tree;
  tree.process(10, "make");
  tree.process(20, "tool").child_of(10);
  tree.thread(10).waits_for_child(20);
  tree.thread(20).waits_for_file_lock(5, 10);
  const model::Diagnosis diagnosis = diagnose_tree(tree);
  ASSERT_EQ(rules_of(diagnosis), "file-lock/proven");
  EXPECT_EQ(diagnosis.findings[0].tid, base::Tid{20});
  tree.thread(10).accepts();
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
}

TEST(FileLock, TheWaiterInheritedTheDescriptor) {
  SnapshotBuilder tree;
  tree.process(10, "bash").role("P1");
  tree.process(20, "flock").role("P2").child_of(10);
  tree.thread(10).waits_for_child(20);
  tree.thread(20).waits_for_file_lock(5, 10);
  auto& owners = std::get<model::OnLock>(tree.thread(20).get().wait.on[0]).owners;
  owners = {base::Pid{10}, base::Pid{20}};
  EXPECT_THAT(diagnose_tree(tree).findings.at(0).headline,
              HasSubstr("a file lock that P1 bash (pid 10) holds — which in turn waits for it"));
  tree.process(30, "sleep").role("P3").child_of(10);
  tree.thread(30).waits_for_child(20);
  std::get<model::OnLock>(tree.thread(20).get().wait.on[0]).owners.emplace_back(30);
  EXPECT_THAT(diagnose_tree(tree).findings.at(0).headline,
              HasSubstr("P1 bash (pid 10) and P3 sleep (pid 30) hold — which in turn wait for it"));
}

TEST(VforkStuck, TheChildReadsFromItsParent) {
  SnapshotBuilder tree;
  tree.process(10, "app").pipe(1, 4, FdMode::kWrite);
  tree.process(20, "app").child_of(10).pipe(1, 3, FdMode::kRead);
  tree.thread(10).waits_for_vfork(20);
  tree.thread(20).reads_pipe(1, 3);
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "vfork-stuck/proven");
}

TEST(StoppedProcess, SomebodyWaitsForIt) {
  SnapshotBuilder tree;
  tree.process(10, "make");
  tree.process(20, "cc").child_of(10);
  tree.thread(10).waits_for_child(20).since(3s);
  tree.thread(20).is_stopped();
  const model::Diagnosis diagnosis = diagnose_tree(tree);
  ASSERT_EQ(rules_of(diagnosis), "stopped-process/likely");
  EXPECT_THAT(diagnosis.findings[0].remedy, HasSubstr("kill -CONT 20"));
}

TEST(StoppedProcess, NobodyWaitsOrTheWaiterIsTold) {
  SnapshotBuilder tree;
  tree.process(10, "bash");
  tree.process(20, "vi").child_of(10);
  tree.thread(10).reads_terminal();
  tree.thread(20).is_stopped();
  auto [before, now] = tree.samples();
  EXPECT_EQ(rules_of(diagnose(before, now, nullptr, {})), "");
  tree.thread(10).waits_for_child(20, true);
  auto told = tree.samples();
  told.now.processes[1].state = 'T';
  EXPECT_EQ(rules_of(diagnose(told.before, told.now, nullptr, {})), "");
}

TEST(TtyBackground, StoppedByItsTerminal) {
  SnapshotBuilder tree;
  tree.process(10, "script");
  tree.process(20, "ssh").child_of(10).tty(0).group(20, 9);
  tree.thread(10).waits_for_child(20).since(3s);
  tree.thread(20).reads_terminal().is_stopped();
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "tty-background/likely");
}

TEST(FifoNoPeer, AWriterWithoutAReader) {
  SnapshotBuilder tree;
  tree.process(10, "writer");
  tree.thread(10).opens_fifo(5, FdMode::kWrite).since(3s);
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "fifo-no-peer/likely");
  tree.process(11, "reader");
  tree.thread(11).opens_fifo(5, FdMode::kRead).since(3s);
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "") << "the peer is there";
}

TEST(FifoNoPeer, AServerThatWaitsForClientsIsIdle) {
  SnapshotBuilder tree;
  tree.process(10, "server");
  tree.thread(10).opens_fifo(5, FdMode::kRead).since(100s);
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
}

TEST(NoWaker, AWorkerNobodyToldToStop) {
  SnapshotBuilder tree;
  tree.process(10, "python3").thread(11);
  tree.thread(10).waits_on_condition(0x10).since(3s).python(
      "_shutdown", "/usr/lib/python3.11/threading.py", 1553);
  tree.thread(11).waits_on_condition(0x20).python("get", "/usr/lib/python3.11/queue.py");
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "no-waker/likely");
  tree.thread(11).accepts();
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
}

}  // namespace
}  // namespace stucktrace::diagnose
