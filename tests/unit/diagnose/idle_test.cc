// What looks like a closed set and is none, or is one by design: never a finding.
#include <csignal>

#include "tests/unit/diagnose/fixtures.h"

namespace stucktrace::diagnose {
namespace {

TEST(Idle, AcceptingServerWithWaitingWorkers) {
  SnapshotBuilder tree;
  tree.process(10, "server").thread(11).thread(12);
  tree.thread(10).accepts();
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
}

// multiprocessing.Pool with nothing to do: worker A reads the task pipe while it holds a semaphore,
// worker B waits for the semaphore, the parent's helpers wait for conditions and results.
SnapshotBuilder idle_pool() {
  SnapshotBuilder tree;
  constexpr std::uint64_t kTasks = 1;
  constexpr std::uint64_t kResults = 2;
  constexpr std::uint64_t kChange = 3;
  tree.process(10, "python3")
      .thread(11)
      .thread(12)
      .thread(13)
      .pipe(kTasks, 3, FdMode::kRead)
      .pipe(kTasks, 4, FdMode::kWrite)
      .pipe(kResults, 5, FdMode::kRead)
      .pipe(kResults, 6, FdMode::kWrite)
      .pipe(kChange, 7, FdMode::kRead)
      .pipe(kChange, 8, FdMode::kWrite)
      .pipe(20, 9, FdMode::kRead)
      .pipe(21, 10, FdMode::kRead);
  for (const int worker : {20, 21}) {
    tree.process(worker, "python3")
        .child_of(10)
        .pipe(kTasks, 3, FdMode::kRead)
        .pipe(kResults, 6, FdMode::kWrite)
        .pipe(static_cast<std::uint64_t>(worker), 11, FdMode::kWrite);
  }
  tree.thread(20).reads_pipe(kTasks, 3);
  tree.thread(21).waits_on_shared_futex(77, {10, 20, 21});
  // _handle_workers, _handle_tasks, _handle_results
  tree.thread(11).polls({on_pipe(20, 9, FdMode::kRead), on_pipe(21, 10, FdMode::kRead),
                         on_pipe(kChange, 7, FdMode::kRead)});
  tree.thread(12).waits_on_condition();
  tree.thread(13).reads_pipe(kResults, 5);
  return tree;
}

TEST(Idle, PoolWhoseMainThreadWaitsForAPerson) {
  SnapshotBuilder tree = idle_pool();
  tree.thread(10).reads_terminal();
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
}

TEST(Idle, PoolWhoseMainThreadSleeps) {
  SnapshotBuilder tree = idle_pool();
  tree.thread(10).sleeps(60s);
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
}

TEST(Idle, PoolWhoseMainThreadWaitsForAnEventIsClosedAndStillIdle) {
  SnapshotBuilder tree = idle_pool();
  tree.thread(10).waits_on_condition(0x5000);
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
  // ... and under a shell that waits for it.
  tree.process(5, "sh");
  tree.thread(5).waits_for_child(10);
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
}

TEST(Idle, PoolOfAnOlderPythonWithANappingHelper) {
  SnapshotBuilder tree = idle_pool();
  tree.thread(10).waits_on_condition(0x5000);
  tree.thread(11).sleeps(100ms).moved(2);
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
}

TEST(Idle, SelfPipeLoop) {
  SnapshotBuilder tree;
  tree.process(10, "loop").pipe(1, 3, FdMode::kRead).pipe(1, 4, FdMode::kWrite);
  tree.thread(10).polls({on_pipe(1, 3, FdMode::kRead)});
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
}

TEST(Idle, PlainReadOfAWakeUpPipeForSignalHandlers) {
  SnapshotBuilder tree;
  tree.process(10, "daemon").pipe(1, 3, FdMode::kRead).pipe(1, 4, FdMode::kWrite, true);
  tree.thread(10).reads_pipe(1, 3);
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
}

TEST(Idle, ReadWriteControlFifo) {
  SnapshotBuilder tree;
  tree.process(10, "daemon");
  const model::ResourceId fifo{model::ResourceKind::kFifo, 1, 5, 0};
  tree.resource(fifo).holders.push_back({base::Pid{10}, 3, FdMode::kBoth});
  tree.thread(10).reads_pipe(1, 3);
  tree.thread(10).get().wait.on = {model::OnFd{3, fifo, FdMode::kRead}};
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
}

TEST(Idle, TailFollowingAFile) {
  SnapshotBuilder tree;
  tree.process(10, "tail");
  tree.thread(10).polls({{4, {model::ResourceKind::kInotify, 0, 9, 0}, FdMode::kRead}});
  tree.process(11, "grep").pipe(1, 0, FdMode::kRead);
  tree.thread(11).reads_pipe(1, 0);
  tree.resource(test::pipe_id(1)).holders.push_back({base::Pid{10}, 1, FdMode::kWrite});
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
}

TEST(Idle, PipelineOnATerminal) {
  SnapshotBuilder tree;
  tree.process(9, "bash");
  tree.thread(9).waits_for_children({10, 11});
  tree.process(10, "cat").child_of(9).tty(0).pipe(1, 1, FdMode::kWrite);
  tree.process(11, "grep").child_of(9).pipe(1, 0, FdMode::kRead);
  tree.thread(10).reads_terminal();
  tree.thread(11).reads_pipe(1, 0);
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
}

TEST(Idle, FullPipeIntoAPager) {
  SnapshotBuilder tree;
  tree.process(9, "git").pipe(1, 1, FdMode::kWrite);
  tree.process(10, "less").child_of(9).pipe(1, 0, FdMode::kRead).tty(3);
  tree.full_pipe(1);
  tree.thread(9).writes_pipe(1, 1).since(60s).native("exit");
  tree.thread(10).reads_terminal();
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
}

TEST(Idle, FullPipeIntoASleepingReader) {
  SnapshotBuilder tree;
  tree.process(9, "yes").pipe(1, 1, FdMode::kWrite);
  tree.process(10, "sh").pipe(1, 0, FdMode::kRead);
  tree.full_pipe(1);
  tree.thread(9).writes_pipe(1, 1).since(60s);
  tree.thread(10).sleeps(5s);
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
}

TEST(Idle, HeartbeatProtocolWithTimeOuts) {
  // A master that polls its worker's pipe with a time-out, a worker that reads commands.
  SnapshotBuilder tree;
  tree.process(10, "master").pipe(1, 3, FdMode::kRead).pipe(2, 4, FdMode::kWrite);
  tree.process(20, "worker").child_of(10).pipe(1, 4, FdMode::kWrite).pipe(2, 3, FdMode::kRead);
  tree.thread(10).polls({on_pipe(1, 3, FdMode::kRead)}).timeout(1s).moved(1);
  tree.thread(20).reads_pipe(2, 3).since(100s);
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
}

TEST(Idle, LeaderHoldsALockWhileItReadsAnInternalPipe) {
  SnapshotBuilder tree;
  tree.process(10, "pool")
      .thread(11)
      .thread(12)
      .pipe(1, 3, FdMode::kRead)
      .pipe(1, 4, FdMode::kWrite);
  tree.thread(10).waits_on_condition();
  tree.thread(11).reads_pipe(1, 3);
  tree.thread(12).waits_for_lock(0x10, 11);
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
}

TEST(Idle, SupervisorThatNapsBesideAnIdleChild) {
  SnapshotBuilder tree;
  tree.process(10, "supervisor").pipe(1, 3, FdMode::kWrite);
  tree.process(20, "worker").child_of(10).pipe(1, 0, FdMode::kRead);
  tree.thread(10).sleeps(50ms).moved(4);
  tree.thread(20).reads_pipe(1, 0);
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
}

TEST(Idle, WorkersOfASingleProcessWaitingForASignalHandler) {
  SnapshotBuilder tree;
  tree.process(10, "app").thread(11).thread(12).catches({SIGTERM});
  tree.thread(10).waits_on_condition(0x10);
  tree.thread(11).waits_on_condition(0x20);
  tree.thread(12).waits_on_condition(0x30);
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
  tree.thread(10).joins(11);
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
}

TEST(Idle, AFrozenProcessMayHaveAllItWaitsFor) {
  SnapshotBuilder tree;
  tree.process(10, "app").thread(11).thread(12);
  tree.thread(10).accepts();
  tree.thread(11).waits_for_lock(0x10, 12);
  tree.thread(12).waits_for_lock(0x20, 11);
  ASSERT_EQ(rules_of(diagnose_tree(tree)), "lock-cycle/proven");
  test::ProcessBuilder(tree, base::Pid{10}).get().frozen = true;
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
}

TEST(Idle, ALoopWithoutCpuIsNoHeartbeat) {
  SnapshotBuilder tree;
  tree.process(10, "java").thread(11).thread(12);
  tree.thread(10).waits_for_signal();
  tree.thread(11).waits_for_lock(0x10, 12).timeout(1s).moved(1);
  tree.thread(12).waits_for_lock(0x20, 11).timeout(1s).moved(1);
  ASSERT_EQ(rules_of(diagnose_tree(tree)), "lock-cycle/until");
  test::ProcessBuilder(tree, base::Pid{10}).get().cpu_starved = true;
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
}

TEST(Idle, ASuspendedMachineProvesNothing) {
  SnapshotBuilder tree;
  tree.process(10, "app").thread(11).thread(12);
  tree.thread(10).accepts();
  tree.thread(11).waits_for_lock(0x10, 12);
  tree.thread(12).waits_for_lock(0x20, 11);
  auto [before, now] = tree.samples();
  now.suspended = 8h;
  const model::Diagnosis diagnosis = diagnose(before, now, nullptr, {});
  ASSERT_EQ(rules_of(diagnosis), "lock-cycle/likely");
  EXPECT_THAT(all_text(diagnosis.findings[0]), testing::HasSubstr("was suspended for"));
}

TEST(Idle, ZombieChildEndsTheWaitAtOnce) {
  SnapshotBuilder tree;
  tree.process(10, "sh");
  tree.process(20, "job").child_of(10).zombie();
  tree.thread(10).waits_for_child(20);
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
}

TEST(Idle, ServerFeedingAReaderInAPipelineIsNoLeak) {
  SnapshotBuilder tree;
  tree.process(9, "sh");
  tree.thread(9).waits_for_children({10, 11});
  tree.process(10, "server").child_of(9).pipe(1, 1, FdMode::kWrite);
  tree.process(11, "cat").child_of(9).pipe(1, 0, FdMode::kRead);
  tree.thread(10).accepts();
  tree.thread(11).reads_pipe(1, 0).since(100s);
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
}

}  // namespace
}  // namespace stucktrace::diagnose
