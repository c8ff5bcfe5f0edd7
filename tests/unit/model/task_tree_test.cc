#include "tracer/model/task_tree.h"

#include <gtest/gtest.h>

#include "tests/support/event_script.h"

namespace stucktrace::model {
namespace {

using base::Pid;
using base::Tid;
using test::EventScript;

TaskSeen task(int parent, std::uint64_t start, std::string comm, std::string exe = {}) {
  TaskSeen seen;
  seen.parent = Pid{parent};
  seen.start_time = start;
  seen.comm = std::move(comm);
  seen.exe = std::move(exe);
  return seen;
}

TaskTree tree_of(const EventScript& script) {
  TaskTree tree;
  for (const Event& event : script.events()) tree.observe(event);
  return tree;
}

TEST(TaskTree, NumbersProcessesAndThreadsInOrderOfAppearance) {
  const TaskTree tree = tree_of(EventScript{}
                                    .seen(0, 10, 10, task(1, 5, "python3", "/usr/bin/python3"))
                                    .made(1, 10, 10, 20, NewTaskKind::kFork)
                                    .seen(2, 20, 20, task(10, 6, "python3"))
                                    .made(3, 20, 20, 21, NewTaskKind::kThread, true)
                                    .seen(4, 20, 21, task(20, 7, "feeder"))
                                    .made(5, 10, 10, 11, NewTaskKind::kThread, true));
  EXPECT_EQ(tree.role(Tid{10}), "P1.T1");
  EXPECT_EQ(tree.role(Tid{20}), "P2.T1");
  EXPECT_EQ(tree.role(Tid{21}), "P2.T2");
  EXPECT_EQ(tree.role(Tid{11}), "P1.T2");
  EXPECT_EQ(tree.process_role(Pid{20}), "P2");
  EXPECT_EQ(tree.role(Tid{99}), "?");
  EXPECT_EQ(tree.process_role(Pid{99}), "?");
  EXPECT_EQ(tree.find(Tid{21})->comm, "feeder");
  EXPECT_EQ(tree.find(Tid{20})->parent, Pid{10});
}

TEST(TaskTree, ChildInheritsNamesUntilItSaysOtherwise) {
  TaskSeen parent = task(1, 5, "sh", "/bin/sh");
  parent.argv = {"sh", "-c", "x"};
  const TaskTree tree =
      tree_of(EventScript{}.seen(0, 10, 10, parent).made(1, 10, 10, 20, NewTaskKind::kVfork));
  EXPECT_EQ(tree.find(Tid{20})->comm, "sh");
  EXPECT_EQ(tree.find(Tid{20})->exe, "/bin/sh");
  EXPECT_EQ(tree.find(Tid{20})->argv, parent.argv);
}

TEST(TaskTree, ChildSeenBeforeItsParentsEventIsOneTask) {
  const TaskTree tree = tree_of(EventScript{}
                                    .seen(0, 10, 10, task(1, 5, "a"))
                                    .seen(1, 20, 20, task(10, 6, "b"))
                                    .made(2, 10, 10, 20, NewTaskKind::kFork)
                                    .seen(3, 20, 21, task(20, 7, "c"))
                                    .made(4, 20, 20, 21, NewTaskKind::kThread, true));
  EXPECT_EQ(tree.all().size(), 3U);
  EXPECT_EQ(tree.role(Tid{20}), "P2.T1");
  EXPECT_EQ(tree.role(Tid{21}), "P2.T2");
  EXPECT_EQ(tree.find(Tid{20})->comm, "b");
}

TEST(TaskTree, ReusedPidIsAnotherProcess) {
  const TaskTree tree = tree_of(EventScript{}
                                    .seen(0, 10, 10, task(1, 5, "a"))
                                    .made(1, 10, 10, 20, NewTaskKind::kFork)
                                    .add(2, 20, 20, TaskExit{false, 3, false})
                                    .made(3, 10, 10, 20, NewTaskKind::kFork));
  ASSERT_EQ(tree.all().size(), 3U);
  EXPECT_EQ(tree.role(Tid{20}), "P3.T1");
  EXPECT_EQ(tree.all()[1].exit->code, 3);
  EXPECT_EQ(tree.all()[1].ended, EventScript::at_ms(2));
  EXPECT_FALSE(tree.find(Tid{20})->ended);
}

TEST(TaskTree, ReuseIsRecognisedEvenWhenTheExitWasLost) {
  // By a second clone event, and by a start time that differs.
  const TaskTree claimed = tree_of(EventScript{}
                                       .seen(0, 10, 10, task(1, 5, "a"))
                                       .made(1, 10, 10, 20, NewTaskKind::kFork)
                                       .made(2, 10, 10, 20, NewTaskKind::kFork));
  EXPECT_EQ(claimed.role(Tid{20}), "P3.T1");
  EXPECT_TRUE(claimed.all()[1].ended);

  const TaskTree started = tree_of(EventScript{}
                                       .seen(0, 10, 10, task(1, 5, "a"))
                                       .seen(1, 20, 20, task(10, 6, "b"))
                                       .seen(2, 20, 20, task(10, 900, "c")));
  EXPECT_EQ(started.role(Tid{20}), "P3.T1");
  EXPECT_EQ(started.find(Tid{20})->comm, "c");

  // A tid that served as a thread and now is a process.
  const TaskTree moved = tree_of(EventScript{}
                                     .seen(0, 10, 10, task(1, 5, "a"))
                                     .made(1, 10, 10, 20, NewTaskKind::kThread, true)
                                     .made(2, 10, 10, 20, NewTaskKind::kFork));
  EXPECT_EQ(moved.role(Tid{20}), "P2.T1");
  EXPECT_TRUE(moved.all()[1].ended);
}

TEST(TaskTree, ThreadNumbersAreNotGivenTwice) {
  const TaskTree tree = tree_of(EventScript{}
                                    .seen(0, 10, 10, task(1, 5, "a"))
                                    .made(1, 10, 10, 11, NewTaskKind::kThread, true)
                                    .add(2, 10, 11, TaskExit{})
                                    .made(3, 10, 10, 11, NewTaskKind::kThread, true));
  EXPECT_EQ(tree.role(Tid{11}), "P1.T3");
}

TEST(TaskTree, ExecFromAnotherThreadMakesItTheLeaderAndEndsTheRest) {
  const TaskTree tree = tree_of(EventScript{}
                                    .seen(0, 10, 10, task(1, 5, "a", "/a"))
                                    .made(1, 10, 10, 11, NewTaskKind::kThread, true)
                                    .made(1, 10, 10, 12, NewTaskKind::kThread, true)
                                    .add(2, 10, 10, TaskExit{})
                                    .add(3, 10, 10, Exec{Tid{11}, "/usr/bin/true", {"true"}, {}}));
  const TaskTree::Task* leader = tree.find(Tid{10});
  EXPECT_EQ(tree.role(Tid{10}), "P1.T1");
  EXPECT_FALSE(leader->ended);
  EXPECT_FALSE(leader->exit);
  EXPECT_EQ(leader->comm, "true");
  EXPECT_EQ(leader->argv, std::vector<std::string>{"true"});
  EXPECT_TRUE(tree.find(Tid{11})->ended);
  EXPECT_TRUE(tree.find(Tid{12})->ended);
}

TEST(TaskTree, ATraceWithoutItsHeadStillHasRoles) {
  const TaskTree tree = tree_of(
      EventScript{}.add(0, 10, 11, Continued{}).add(1, 10, 10, Continued{}).add(2, 0, 0, Note{}));
  EXPECT_EQ(tree.role(Tid{11}), "P1.T2");
  EXPECT_EQ(tree.role(Tid{10}), "P1.T1");
  EXPECT_EQ(tree.all().size(), 2U);
}

TEST(TaskTree, RemembersTheLatestEndedTasksOnly) {
  TaskTree tree;
  EventScript script;
  script.seen(0, 10, 10, task(1, 5, "make"));
  const auto storm = static_cast<int>(3 * TaskTree::kEndedKept);
  for (int i = 0; i < storm; ++i) {
    script.made(1 + i, 10, 10, 1000 + i, NewTaskKind::kFork);
    script.add(1.5 + i, 1000 + i, 1000 + i, TaskExit{});
    script.made(1.6 + i, 10, 10, 100000 + i, NewTaskKind::kThread);
    script.add(1.7 + i, 10, 100000 + i, TaskExit{});
  }
  for (const Event& event : script.events()) tree.observe(event);
  EXPECT_LE(tree.all().size(), TaskTree::kEndedKept + 1);
  EXPECT_EQ(tree.role(Tid{10}), "P1.T1");
  EXPECT_EQ(tree.role(Tid{1000}), "?");
  EXPECT_EQ(tree.process_role(Pid{1000}), "?");
  // Numbers go on all the same.
  EXPECT_EQ(tree.process_role(Pid{1000 + storm - 1}), "P" + std::to_string(1 + storm));
}

}  // namespace
}  // namespace stucktrace::model
