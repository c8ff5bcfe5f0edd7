// Connections that nobody accepts, queues that nobody empties, locks held by who is blocked.
#include <csignal>

#include "tests/unit/diagnose/fixtures.h"

namespace stucktrace::diagnose {
namespace {

using test::queue_id;
using test::sysv_queue_id;
using testing::HasSubstr;

TEST(SelfDeadlock, ARequestToItself) {
  SnapshotBuilder tree;
  tree.process(10, "server").unaccepted(1, 4, 2, 10);
  tree.thread(10).reads_unix(1, 4);
  ASSERT_EQ(rules_of(diagnose_tree(tree)), "self-deadlock/proven");
  EXPECT_THAT(diagnose_tree(tree).findings[0].headline, HasSubstr("an answer from itself"));
  // A thread that accepts is all it needs.
  SnapshotBuilder served;
  served.process(10, "server").thread(11).unaccepted(1, 4, 2, 10);
  served.thread(10).reads_unix(1, 4);
  served.thread(11).accepts();
  EXPECT_EQ(rules_of(diagnose_tree(served)), "");
  served.thread(11).waits_on_condition();
  EXPECT_EQ(rules_of(diagnose_tree(served)), "self-deadlock/proven");
}

TEST(SelfDeadlock, AFileLockThroughAnotherDescriptor) {
  SnapshotBuilder tree;
  tree.process(10, "app");
  tree.thread(10).waits_for_file_lock(5, 10);
  ASSERT_EQ(rules_of(diagnose_tree(tree)), "self-deadlock/proven");
  EXPECT_THAT(diagnose_tree(tree).findings[0].headline, HasSubstr("through another descriptor"));
  // Another thread may close the other descriptor.
  SnapshotBuilder threads;
  threads.process(10, "app").thread(11);
  threads.thread(10).waits_for_file_lock(5, 10);
  threads.thread(11).accepts();
  EXPECT_EQ(rules_of(diagnose_tree(threads)), "");
}

TEST(BacklogFull, AClientWaitsForAServerThatWaitsForIt) {
  SnapshotBuilder tree;
  tree.process(10, "server");
  tree.process(20, "client").child_of(10).unaccepted(1, 4, 2, 10);
  tree.thread(10).waits_for_child(20);
  tree.thread(20).reads_unix(1, 4);
  ASSERT_EQ(rules_of(diagnose_tree(tree)), "deadlock/proven");
  tree.thread(20).connects(1, 4);
  ASSERT_EQ(rules_of(diagnose_tree(tree)), "backlog-full/proven");
  EXPECT_THAT(diagnose_tree(tree).findings[0].headline, HasSubstr("waits for a connection that"));
  tree.thread(10).runs();
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
}

// The server waits for its child by a pipe of its own that its SIGCHLD handler writes to.
TEST(Deadlock, ARequestOfTheChildThatTheEventLoopWaitsFor) {
  SnapshotBuilder tree;
  tree.process(10, "server")
      .pipe(9, 6, FdMode::kRead)
      .pipe(9, 7, FdMode::kWrite)
      .catches({SIGCHLD});
  tree.process(20, "client").child_of(10).unaccepted(1, 4, 2, 10);
  tree.thread(10).polls({on_pipe(9, 6, FdMode::kRead)});
  tree.thread(20).reads_unix(1, 4);
  const model::Diagnosis diagnosis = diagnose_tree(tree);
  ASSERT_EQ(rules_of(diagnosis), "deadlock/proven");
  EXPECT_THAT(diagnosis.findings[0].cycle, testing::SizeIs(2));
  EXPECT_THAT(all_text(diagnosis.findings[0]), HasSubstr("a signal handler would tell"));
}

TEST(Idle, AnEventLoopWhoseChildWorks) {
  SnapshotBuilder tree;
  tree.process(10, "server")
      .pipe(9, 6, FdMode::kRead)
      .pipe(9, 7, FdMode::kWrite)
      .catches({SIGCHLD});
  tree.process(20, "child").child_of(10).unaccepted(1, 4, 2, 10);
  tree.process(30, "other").child_of(10);
  tree.thread(10).polls({on_pipe(9, 6, FdMode::kRead)});
  tree.thread(20).reads_unix(1, 4);
  tree.thread(30).runs();
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
}

SnapshotBuilder full_queue() {
  SnapshotBuilder tree;
  tree.process(10, "parent").holds(queue_id(5), 3, FdMode::kRead);
  tree.process(20, "child").child_of(10).holds(queue_id(5), 3, FdMode::kWrite);
  tree.resource(queue_id(5)).full = true;
  tree.resource(queue_id(5)).queued = std::uint64_t{80};
  tree.thread(10).waits_for_child(20);
  tree.thread(20).sends_to_queue(queue_id(5), 3);
  return tree;
}

TEST(QueueFull, TheReceiverWaitsForTheSender) {
  SnapshotBuilder tree = full_queue();
  const model::Diagnosis diagnosis = diagnose_tree(tree);
  ASSERT_EQ(rules_of(diagnosis), "queue-full/likely");
  EXPECT_THAT(diagnosis.findings[0].headline, HasSubstr("message queue"));
  EXPECT_THAT(all_text(diagnosis.findings[0]), HasSubstr("could open the message queue"));
  tree.resource(queue_id(5)).full = false;
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
}

TEST(QueueFull, OfSystemVByWhoReceivedLast) {
  SnapshotBuilder tree;
  tree.process(10, "parent");
  tree.process(20, "child").child_of(10);
  tree.thread(10).waits_for_child(20);
  tree.thread(20).sends_to_queue(sysv_queue_id(5), -1);
  tree.resource(sysv_queue_id(5)).last_user = base::Pid{10};
  tree.resource(sysv_queue_id(5)).last_user_alive = true;
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "queue-full/likely");
  tree.resource(sysv_queue_id(5)).last_user_alive = false;
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
}

TEST(InheritedLock, WhoTookItIsGoneAndItsHeirIsIdle) {
  SnapshotBuilder tree;
  tree.process(10, "job");
  tree.process(20, "daemon");
  tree.thread(10).waits_for_file_lock(5, 20);
  tree.thread(20).accepts();
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "") << "an owner that is at work with it";
  std::get<model::OnLock>(tree.thread(10).get().wait.on.front()).taken_by_gone = base::Pid{15};
  const model::Diagnosis diagnosis = diagnose_tree(tree);
  ASSERT_EQ(rules_of(diagnosis), "inherited-lock/likely");
  EXPECT_THAT(diagnosis.findings[0].headline, HasSubstr("that process 15 took and left behind"));
  tree.thread(20).runs();
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
}

// exec 9>lock; flock 9; the shell goes on with the lock.
TEST(InheritedLock, AShellThatHadItTakenIsNoHeir) {
  SnapshotBuilder tree;
  tree.process(10, "job");
  tree.process(14, "sh");
  tree.thread(10).waits_for_file_lock(5, 14);
  tree.thread(14).accepts();
  std::get<model::OnLock>(tree.thread(10).get().wait.on.front()).taken_by_gone = base::Pid{15};
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
}

TEST(InheritedLock, AnHeirThatSleepsOrAwaitsAChildIsAtWork) {
  SnapshotBuilder tree;
  tree.process(10, "job");
  tree.process(20, "sh");
  tree.process(21, "make").child_of(20);
  tree.thread(10).waits_for_file_lock(5, 20);
  tree.thread(21).accepts();
  std::get<model::OnLock>(tree.thread(10).get().wait.on.front()).taken_by_gone = base::Pid{15};
  tree.thread(20).accepts();
  ASSERT_EQ(rules_of(diagnose_tree(tree)), "inherited-lock/likely");
  tree.thread(20).waits_for_child(21);
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
  tree.thread(20).sleeps(20s);
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
}

TEST(LockOwnerBlocked, TheOwnerWritesToSomebodyOutside) {
  SnapshotBuilder tree;
  tree.process(10, "app").thread(11).thread(12).pipe(7, 1, FdMode::kWrite);
  tree.process(20, "reader").pipe(7, 0, FdMode::kRead);
  tree.full_pipe(7);
  tree.thread(20).sleeps(1h);
  tree.thread(10).accepts();
  tree.thread(11).writes_pipe(7, 1).since(3s);
  tree.thread(12).waits_for_lock(0x10, 11);
  const model::Diagnosis diagnosis = diagnose_tree(tree);
  ASSERT_EQ(rules_of(diagnosis), "lock-owner-blocked/likely");
  EXPECT_THAT(diagnosis.findings[0].headline,
              HasSubstr("holds a lock that 1 other thread waits for"));
  tree.thread(11).writes_pipe(7, 1).since(100ms);
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
}

TEST(LockOwnerBlocked, WorkersThatTakeTurnsAtAcceptingAreNone) {
  SnapshotBuilder tree;
  tree.process(10, "server").thread(11).thread(12);
  tree.thread(10).waits_for_signal();
  tree.thread(11).accepts().since(60s);
  tree.thread(12).waits_for_lock(0x10, 11);
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
}

}  // namespace
}  // namespace stucktrace::diagnose
