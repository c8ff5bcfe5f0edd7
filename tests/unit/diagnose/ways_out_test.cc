#include <csignal>

#include "tests/unit/diagnose/fixtures.h"

namespace stucktrace::diagnose {
namespace {

using testing::HasSubstr;

// A child waits for the pipe of its parent (10), which waits for its end.
SnapshotBuilder child_and_pipe(const std::vector<int>& handlers = {}) {
  SnapshotBuilder tree;
  tree.process(10, "app").pipe(1, 4, FdMode::kWrite).catches(handlers);
  tree.process(20, "cat").child_of(10).pipe(1, 0, FdMode::kRead);
  tree.thread(10).waits_for_child(20).since(3s);
  tree.thread(20).reads_pipe(1, 0).since(3s);
  return tree;
}

TEST(WaysOut, AHandlerOfSigalrmIsMostlyATimeOut) {
  SnapshotBuilder tree = child_and_pipe();
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "deadlock/proven");
  tree.process(30, "bystander").catches({SIGALRM});
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "deadlock/proven") << "it has nothing to do with it";
  for (const int signo : {SIGALRM, SIGIO}) {
    const model::Diagnosis diagnosis = diagnose_tree(child_and_pipe({SIGCHLD, signo}));
    ASSERT_EQ(rules_of(diagnosis), "deadlock/likely") << signo;
    EXPECT_THAT(all_text(diagnosis.findings[0]), HasSubstr("process 10 has a handler for SIG"));
  }
}

// As sort(1) does, to remove its files, and a shell with a trap for EXIT.
TEST(WaysOut, WhoCatchesAllThatWouldEndItHasNoTimeOut) {
  EXPECT_EQ(rules_of(diagnose_tree(child_and_pipe({SIGTERM, SIGALRM, SIGVTALRM, SIGXCPU}))),
            "deadlock/proven");
}

TEST(WaysOut, ATimerOfCpuTimeStandsStillWhileAllThreadsWait) {
  for (const int signo : {SIGVTALRM, SIGPROF}) {
    SnapshotBuilder tree;
    tree.process(10, "app").thread(11).thread(12).thread(13).catches({signo});
    tree.thread(10).joins(11);
    tree.thread(11).waits_for_lock(0x10, 12).since(3s);
    tree.thread(12).waits_for_lock(0x20, 11).since(3s);
    tree.thread(13).joins(12);
    EXPECT_EQ(rules_of(diagnose_tree(tree)), "lock-cycle/proven") << signo;
    tree.thread(13).runs();
    const model::Diagnosis diagnosis = diagnose_tree(tree);
    ASSERT_EQ(rules_of(diagnosis), "lock-cycle/likely") << signo;
    EXPECT_THAT(all_text(diagnosis.findings[0]), HasSubstr("has a handler for"));
  }
}

void make_runtime_lock(SnapshotBuilder& tree, std::int32_t tid) {
  std::get<model::OnFutex>(tree.thread(tid).get().wait.on[0]).role =
      model::OnFutex::Role::kRuntimeLock;
}

TEST(WaysOut, AnInterpretersLockMayBeReleasedByAnotherThread) {
  SnapshotBuilder tree;
  tree.process(10, "python3").thread(11).thread(12);
  tree.thread(10).waits_for_lock(0x10, 11).since(3s);
  tree.thread(11).waits_for_lock(0x20, 10).since(3s);
  make_runtime_lock(tree, 10);
  make_runtime_lock(tree, 11);
  tree.thread(12).joins(10);
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "lock-cycle/proven") << "all of them are in it";
  tree.thread(12).sleeps(20s);
  const model::Diagnosis diagnosis = diagnose_tree(tree);
  ASSERT_EQ(rules_of(diagnosis), "lock-cycle/likely");
  EXPECT_THAT(all_text(diagnosis.findings[0]), HasSubstr("thread 12 of process 10 is not stuck"));
}

TEST(WaysOut, WhoOnlyWaitsForTheCircleIsNotFreeOfIt) {
  SnapshotBuilder tree;
  tree.process(10, "python3").thread(11).thread(12);
  tree.thread(10).waits_for_lock(0x10, 11).timeout(60s).since(3s);
  tree.thread(11).waits_for_lock(0x20, 10).since(3s);
  make_runtime_lock(tree, 10);
  make_runtime_lock(tree, 11);
  tree.thread(12).joins(10);
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "lock-cycle/until");
}

TEST(WaysOut, ALockThatWasTakenTwiceMayBeAGate) {
  for (const bool interpreter : {true, false}) {
    SnapshotBuilder tree;
    tree.process(10, "app").thread(11);
    tree.thread(10).waits_for_lock(0x10, 10).since(3s);
    if (interpreter) make_runtime_lock(tree, 10);
    tree.thread(11).joins(10);
    EXPECT_EQ(rules_of(diagnose_tree(tree)), "self-deadlock/proven");
    tree.thread(11).sleeps(20s);
    const model::Diagnosis diagnosis = diagnose_tree(tree);
    ASSERT_EQ(rules_of(diagnosis), "self-deadlock/likely");
    EXPECT_THAT(all_text(diagnosis.findings[0]), HasSubstr("taken not to release a lock"));
  }
}

TEST(WaysOut, AMutexOfEachOtherIsNoGate) {
  SnapshotBuilder tree;
  tree.process(10, "app").thread(11).thread(12);
  tree.thread(10).waits_for_lock(0x10, 11);
  tree.thread(11).waits_for_lock(0x20, 10);
  tree.thread(12).accepts();
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "lock-cycle/proven");
}

TEST(WaysOut, ASharedLockOfAnInterpreterIsReleasedByAnyProcess) {
  SnapshotBuilder tree;
  tree.process(10, "python3");
  tree.process(20, "python3").child_of(10);
  tree.process(30, "python3").child_of(10);
  tree.thread(10).waits_for_child(20).since(3s);
  tree.thread(20).waits_for_lock(0x10, 10).since(3s);
  make_runtime_lock(tree, 20);
  auto& lock = std::get<model::OnFutex>(tree.thread(20).get().wait.on[0]);
  lock.is_private = false;
  lock.sharers = {base::Pid{10}, base::Pid{20}, base::Pid{30}};
  tree.thread(30).waits_for_child(20);
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "deadlock/proven");
  tree.thread(30).sleeps(20s);
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "deadlock/likely");
  tree.thread(30).waits_for_child(20);
  std::get<model::OnFutex>(tree.thread(20).get().wait.on[0]).sharers.push_back(base::Pid{40});
  const model::Diagnosis diagnosis = diagnose_tree(tree);
  ASSERT_EQ(rules_of(diagnosis), "deadlock/likely");
  EXPECT_THAT(all_text(diagnosis.findings[0]), HasSubstr("process 40 was not looked at"));
}

TEST(WaysOut, AnyChildMayBeOneThatAnotherThreadStarts) {
  SnapshotBuilder tree;
  tree.process(10, "app").thread(11);
  tree.process(20, "app").child_of(10);
  tree.thread(10).waits_for_children({20}).since(3s);
  tree.thread(20).waits_for_lock(0x10, 10).since(3s);
  tree.thread(11).joins(10);
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "deadlock/proven");
  tree.thread(11).sleeps(20s);
  const model::Diagnosis diagnosis = diagnose_tree(tree);
  ASSERT_EQ(rules_of(diagnosis), "deadlock/likely");
  EXPECT_THAT(all_text(diagnosis.findings[0]), HasSubstr("could start a child"));
}

TEST(WaysOut, AnotherThreadMayShutTheSocketDown) {
  SnapshotBuilder tree;
  tree.process(10, "app").thread(11).thread(12).unix_socket(1, 3, 2);
  tree.process(20, "peer").child_of(10).unix_socket(2, 4, 1);
  tree.thread(10).joins(11);
  tree.thread(11).reads_unix(1, 3).since(3s);
  tree.thread(12).joins(11);
  tree.thread(20).waits_for_lock(0x10, 11).since(3s);
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "deadlock/proven");
  tree.thread(12).sleeps(20s);
  const model::Diagnosis diagnosis = diagnose_tree(tree);
  ASSERT_EQ(rules_of(diagnosis), "deadlock/likely");
  EXPECT_THAT(all_text(diagnosis.findings[0]), HasSubstr("could shut that down"));
}

}  // namespace
}  // namespace stucktrace::diagnose
