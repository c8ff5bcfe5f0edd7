// Threads that wait to be woken: when nobody is left to do it, and when that is by design.
#include <csignal>

#include "tests/unit/diagnose/fixtures.h"

namespace stucktrace::diagnose {
namespace {

using test::eventfd_id;
using testing::HasSubstr;

SnapshotBuilder joined_pool() {
  SnapshotBuilder tree;
  tree.process(10, "app").thread(11).thread(12);
  tree.thread(10).joins(11);
  return tree;
}

TEST(NoWaker, MainJoinsAThreadThatNobodyWakes) {
  const model::Diagnosis diagnosis = diagnose_tree(joined_pool());
  ASSERT_EQ(rules_of(diagnosis), "no-waker/likely");
  const model::Finding& finding = diagnosis.findings[0];
  EXPECT_THAT(finding.headline,
              HasSubstr("waits for its thread 11 to end, which waits to be woken"));
  EXPECT_THAT(all_text(finding), HasSubstr("nobody else being left"));
}

TEST(NoWaker, AnyThreadThatMayStillActIsAWayOut) {
  SnapshotBuilder tree = joined_pool();
  tree.thread(12).accepts();
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
  tree.thread(12).sleeps(1h);
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
  tree.thread(12).runs();
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
  tree.thread(12).waits_on_condition().timeout(1s);
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
  tree.thread(12).waits_on_condition().moved(1);
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
}

TEST(NoWaker, AHandlerMayWakeThemUnlessTheWaitForbidsIt) {
  SnapshotBuilder tree;
  tree.process(10, "app").thread(11).catches({SIGTERM});
  tree.thread(10).joins(11);
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
  // A condition variable must not be signalled in a handler.
  tree.thread(11).native("__futex_abstimed_wait_common").native("pthread_cond_wait");
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "no-waker/likely");
}

TEST(NoWaker, AHandlerMayTellOfAChildsEndOrOfCtrlC) {
  SnapshotBuilder tree;
  tree.process(10, "app").thread(11).catches({SIGCHLD});
  tree.thread(10).joins(11);
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "no-waker/likely") << "no child, no SIGCHLD";
  tree.process(20, "sleep").child_of(10);
  tree.thread(20).sleeps(20s);
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
  SnapshotBuilder until_ctrl_c;
  until_ctrl_c.process(10, "app").thread(11).catches({SIGINT});
  until_ctrl_c.thread(10).joins(11);
  EXPECT_EQ(rules_of(diagnose_tree(until_ctrl_c)), "");
  // An interpreter has one in any case.
  until_ctrl_c.thread(11).python("get", "/usr/lib/python3.11/queue.py");
  EXPECT_EQ(rules_of(diagnose_tree(until_ctrl_c)), "no-waker/likely");
}

TEST(NoWaker, AHandlerThatMayReleaseTheLockIsNamed) {
  SnapshotBuilder tree;
  tree.process(10, "python3").catches({SIGINT, SIGALRM});
  tree.thread(10).since(3s).native("pthread_mutex_lock");
  const model::Diagnosis diagnosis = diagnose_tree(tree);
  ASSERT_EQ(rules_of(diagnosis), "no-waker/likely");
  EXPECT_THAT(all_text(diagnosis.findings[0]), HasSubstr("has a handler for SIGALRM"));
}

TEST(NoWaker, UnknownHandlersSayNothing) {
  SnapshotBuilder tree;
  tree.process(10, "app").thread(11).get().caught_signals = model::unknown("not read");
  tree.thread(10).joins(11);
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
}

TEST(NoWaker, TheOnlyThreadOfAProcess) {
  SnapshotBuilder tree;
  tree.process(10, "app");
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "no-waker/likely");
  // An interpreter that waits for Ctrl-C.
  SnapshotBuilder interpreter;
  interpreter.process(10, "python3").catches({SIGINT});
  EXPECT_EQ(rules_of(diagnose_tree(interpreter)), "");
}

TEST(NoWaker, ALockWithoutAnOwnerInALoneThread) {
  SnapshotBuilder tree;
  tree.process(10, "app").thread(11);
  tree.process(20, "app").child_of(10).catches({SIGINT, SIGTERM});
  tree.thread(10).accepts();
  tree.thread(20).native("__lll_lock_wait").native("pthread_mutex_lock");
  const model::Diagnosis diagnosis = diagnose_tree(tree);
  ASSERT_EQ(rules_of(diagnosis), "no-waker/likely");
  EXPECT_EQ(diagnosis.findings[0].pid, base::Pid{20});
  EXPECT_THAT(all_text(diagnosis.findings[0]), HasSubstr("at the moment of the fork"));
}

TEST(NoWaker, AnEventThatOnlyItsReaderHolds) {
  SnapshotBuilder tree;
  tree.process(10, "app").holds(eventfd_id(7), 3, FdMode::kBoth);
  tree.thread(10).reads_eventfd(7, 3);
  ASSERT_EQ(rules_of(diagnose_tree(tree)), "no-waker/likely");
  EXPECT_THAT(diagnose_tree(tree).findings[0].headline, HasSubstr("waits for an event"));
  tree.process(20, "other").holds(eventfd_id(7), 3, FdMode::kBoth);
  tree.thread(20).sleeps(1h);
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
}

TEST(NoWaker, AnEventThatTellsOfWorkInAnIoUring) {
  SnapshotBuilder tree;
  tree.process(10, "app").holds(eventfd_id(7), 3, FdMode::kBoth);
  tree.thread(10).reads_eventfd(7, 3);
  ASSERT_EQ(rules_of(diagnose_tree(tree)), "no-waker/likely");
  test::ProcessBuilder(tree, base::Pid{10})
      .holds({model::ResourceKind::kIoUring, 0, 0, 0}, 4, FdMode::kBoth);
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
}

TEST(NoWaker, AMessageQueueIsForOthersToOpenWhileItHasAName) {
  SnapshotBuilder tree;
  auto server = tree.process(10, "app").holds(test::queue_id(5), 3, FdMode::kBoth);
  tree.thread(10).sends_to_queue(test::queue_id(5), 3);
  std::get<model::OnFd>(tree.thread(10).get().wait.on[0]).direction = FdMode::kRead;
  server.get().fds->back().label = "/queue";
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
  server.get().fds->back().label = "/queue (deleted)";
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "no-waker/likely");
}

TEST(Deadlock, AParentWaitsForTheChildThatWaitsForItsEvent) {
  SnapshotBuilder tree;
  tree.process(10, "parent").holds(eventfd_id(7), 3, FdMode::kBoth);
  tree.process(20, "child").child_of(10).holds(eventfd_id(7), 3, FdMode::kBoth);
  tree.thread(10).waits_for_child(20);
  tree.thread(20).reads_eventfd(7, 3);
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "deadlock/likely");
  // Another holder could set it.
  tree.process(30, "sibling").child_of(10).holds(eventfd_id(7), 3, FdMode::kBoth);
  tree.thread(30).accepts();
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
}

TEST(Deadlock, AnIdleChildOfAWaitingParentIsNone) {
  SnapshotBuilder tree;
  tree.process(10, "sh");
  tree.process(20, "daemon").child_of(10).catches({SIGTERM});
  tree.thread(10).waits_for_child(20);
  EXPECT_EQ(rules_of(diagnose_tree(tree)), "");
}

}  // namespace
}  // namespace stucktrace::diagnose
