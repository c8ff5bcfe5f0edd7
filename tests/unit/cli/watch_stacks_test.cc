#include "tracer/cli/watch_stacks.h"

#include <gtest/gtest.h>

#include "tests/support/snapshot_builder.h"

namespace stucktrace::cli {
namespace {

using namespace std::chrono_literals;
using base::Tid;
using test::SnapshotBuilder;

model::Snapshot look(const SnapshotBuilder& tree, base::Nanoseconds at) {
  model::Snapshot snapshot = tree.samples().now;
  snapshot.taken_at = base::Instant{at};
  return snapshot;
}

SnapshotBuilder blocked_pair() {
  SnapshotBuilder tree;
  tree.process(10, "python3").thread(11);
  tree.thread(10).waits_on_condition();
  tree.thread(11).sleeps(1s);
  return tree;
}

// What a look with stacks has read of it.
SnapshotBuilder with_stacks(SnapshotBuilder tree) {
  tree.thread(10).name("MainThread").python("join", "threading.py", 7).native("futex_wait");
  tree.thread(10).runtime_deadline(9s);
  model::Wait& wait = tree.thread(10).get().wait;
  wait.kind = model::WaitKind::kThreadJoin;
  auto& futex = std::get<model::OnFutex>(wait.on[0]);
  futex.role = model::OnFutex::Role::kJoin;
  futex.owner = Tid{11};
  futex.owner_alive = true;
  return tree;
}

const model::Thread& main_of(const model::Snapshot& snapshot) {
  return *snapshot.find_thread(Tid{10});
}

TEST(CarryStacks, WhatHasNotMovedHasTheStackItHad) {
  const model::Snapshot then = look(with_stacks(blocked_pair()), 100s);
  model::Snapshot now = look(blocked_pair(), 102s);
  ASSERT_TRUE(carry_stacks(then, now));
  EXPECT_EQ(main_of(now).name, "MainThread");
  ASSERT_EQ(main_of(now).python.size(), 1U);
  EXPECT_EQ(main_of(now).python[0].line, 7);
  ASSERT_EQ(main_of(now).stack.size(), 1U);
  EXPECT_EQ(main_of(now).runtime_deadline, 7s) << "two seconds nearer";
  EXPECT_EQ(main_of(now).wait.kind, model::WaitKind::kThreadJoin);
  EXPECT_EQ(std::get<model::OnFutex>(main_of(now).wait.on[0]).owner, Tid{11});
}

TEST(CarryStacks, OneThreadThatMovedMakesAllOfItOld) {
  const model::Snapshot then = look(with_stacks(blocked_pair()), 100s);
  SnapshotBuilder tree = blocked_pair();
  tree.thread(11).get().counters.voluntary_switches += 1;  // it may have passed a lock on
  model::Snapshot now = look(tree, 102s);
  EXPECT_FALSE(carry_stacks(then, now));
  EXPECT_TRUE(main_of(now).python.empty());
}

TEST(CarryStacks, NothingIsCarriedWhereSomebodyCameOrWent) {
  const model::Snapshot then = look(with_stacks(blocked_pair()), 100s);
  SnapshotBuilder tree = blocked_pair();
  tree.process(20, "sh").child_of(10);
  tree.thread(20).sleeps(1s);
  model::Snapshot more = look(tree, 101s);
  EXPECT_FALSE(carry_stacks(then, more));

  SnapshotBuilder fewer;
  fewer.process(10, "python3");
  fewer.thread(10).waits_on_condition();
  model::Snapshot less = look(fewer, 101s);
  EXPECT_FALSE(carry_stacks(then, less));

  SnapshotBuilder reused = blocked_pair();
  reused.thread(11).get().start_time += 1;
  model::Snapshot other = look(reused, 101s);
  EXPECT_FALSE(carry_stacks(then, other));
}

TEST(CarryStacks, ProcessesOutsideOfTheTreeMayDoWhatTheyLike) {
  SnapshotBuilder before = with_stacks(blocked_pair());
  before.process(30, "tmux").outside_the_tree();
  before.thread(30).sleeps(1s);
  const model::Snapshot then = look(before, 100s);
  SnapshotBuilder tree = blocked_pair();
  tree.process(30, "tmux").outside_the_tree();
  tree.thread(30).runs();
  model::Snapshot now = look(tree, 101s);
  EXPECT_TRUE(carry_stacks(then, now));

  // ... unless one of them holds a lock that the tree waits for.
  std::get<model::OnFutex>(before.thread(10).get().wait.on[0]).owner = Tid{30};
  model::Snapshot again = look(tree, 101s);
  EXPECT_FALSE(carry_stacks(look(before, 100s), again));
}

TEST(CarryStacks, WhatRunsIsNeverTheSame) {
  SnapshotBuilder tree = blocked_pair();
  tree.thread(11).runs();
  const model::Snapshot then = look(tree, 100s);
  model::Snapshot now = look(tree, 100s);
  EXPECT_FALSE(carry_stacks(then, now));
}

}  // namespace
}  // namespace stucktrace::cli
