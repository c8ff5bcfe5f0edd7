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

}  // namespace
}  // namespace stucktrace::diagnose
