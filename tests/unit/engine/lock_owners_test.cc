#include "tracer/engine/lock_owners.h"

#include <gtest/gtest.h>

#include <memory>
#include <utility>

namespace stucktrace::engine {
namespace {

using Role = model::OnFutex::Role;
using unwind::PythonThread;

constexpr std::uint64_t kLock = 0x5000;
const model::ResourceId kSharedLock{model::ResourceKind::kFutex, 9, 77, 16};

class LockOwners : public testing::Test {
 protected:
  model::Process& process(std::int32_t pid, std::int32_t parent = 1) {
    auto& added = *processes_.emplace_back(std::make_unique<model::Process>());
    added.pid = base::Pid{pid};
    added.parent = base::Pid{parent};
    added.address_space = static_cast<std::uint64_t>(pid);
    added.exe = "/usr/bin/python3";
    added.argv = {"python3", "app.py"};
    return added;
  }
  PythonThread& thread(model::Process& owner, std::int32_t tid, std::uint64_t pthread) {
    owner.threads.emplace_back().tid = base::Tid{tid};
    auto& added = runtime_[owner.pid].emplace_back();
    added.tid = base::Tid{tid};
    added.pthread = pthread;
    return added;
  }
  // The thread waits for the lock at `address`, and its frames know that it is one.
  PythonThread& waiter(model::Process& owner, std::int32_t tid, std::uint64_t pthread,
                       std::uint64_t address = kLock) {
    PythonThread& added = thread(owner, tid, pthread);
    auto& wait = added.lock_wait.emplace();
    wait.futex = wait.lock = address;
    model::OnFutex on;
    on.address = base::RemoteAddr{address};
    on.futex = {model::ResourceKind::kFutex, owner.address_space, address, 0};
    owner.threads.back().wait.on.emplace_back(on);
    return added;
  }
  static model::OnFutex& futex(model::Process& owner, std::size_t index = 0) {
    return std::get<model::OnFutex>(owner.threads.at(index).wait.on.front());
  }
  void name() {
    std::vector<model::Process*> all;
    for (const auto& one : processes_) all.push_back(one.get());
    name_lock_owners(all, runtime_, [](base::Pid, base::RemoteAddr address) {
      const bool shared = address.value() == kLock + 0x100;
      return shared ? std::optional{kSharedLock} : std::nullopt;
    });
  }

  std::vector<std::unique_ptr<model::Process>> processes_;
  RuntimeThreads runtime_;
};

TEST_F(LockOwners, TheOneThreadInsideHoldsTheLock) {
  auto& one = process(10);
  waiter(one, 10, 0x100);
  thread(one, 11, 0x200).held_locks = {0x4000, kLock};
  name();
  EXPECT_EQ(futex(one).role, Role::kRuntimeLock);
  EXPECT_EQ(futex(one).owner, base::Tid{11});
  EXPECT_TRUE(futex(one).owner_alive);
}

TEST_F(LockOwners, TwoThatLookLikeHoldersAreNone) {
  auto& one = process(10);
  waiter(one, 10, 0x100);
  thread(one, 11, 0x200).held_locks = {kLock};
  thread(one, 12, 0x300).held_locks = {kLock};
  name();
  EXPECT_EQ(futex(one).role, Role::kRuntimeLock);
  EXPECT_FALSE(futex(one).owner);
  EXPECT_FALSE(futex(one).owner_alive);
}

TEST_F(LockOwners, TheSameAddressElsewhereIsAnotherLock) {
  auto& one = process(10);
  waiter(one, 10, 0x100);
  thread(process(20), 20, 0x100).held_locks = {kLock};
  name();
  EXPECT_FALSE(futex(one).owner);
}

TEST_F(LockOwners, OnlyTheWordThatTheThreadSleepsOn) {
  auto& one = process(10);
  waiter(one, 10, 0x100).lock_wait->futex = kLock + 8;
  thread(one, 11, 0x200).held_locks = {kLock};
  name();
  EXPECT_EQ(futex(one).role, Role::kUnknown);
  EXPECT_FALSE(futex(one).owner);
}

// Python 3.14: each thread sleeps on a word of its own.
TEST_F(LockOwners, TheLockNeedNotBeTheWordThatTheThreadSleepsOn) {
  auto& one = process(10);
  waiter(one, 10, 0x100).lock_wait->lock = 0x6000;
  waiter(one, 12, 0x300, kLock + 0x40).lock_wait->lock = 0x7000;
  thread(one, 11, 0x200).held_locks = {0x6000, kLock + 0x40};
  name();
  EXPECT_EQ(futex(one).owner, base::Tid{11});
  EXPECT_EQ(futex(one, 1).role, Role::kRuntimeLock);
  EXPECT_FALSE(futex(one, 1).owner);
}

TEST_F(LockOwners, WhatMemoryProvesStays) {
  auto& one = process(10);
  waiter(one, 10, 0x100);
  futex(one).role = Role::kMutex;
  futex(one).owner = base::Tid{12};
  thread(one, 11, 0x200).held_locks = {kLock};
  name();
  EXPECT_EQ(futex(one).role, Role::kMutex);
  EXPECT_EQ(futex(one).owner, base::Tid{12});
}

TEST_F(LockOwners, ARecursiveLockNamesItsOwner) {
  auto& one = process(10);
  waiter(one, 10, 0x100).lock_wait->owner = 0x300;
  thread(one, 11, 0x200).held_locks = {kLock};
  thread(one, 12, 0x300);
  name();
  EXPECT_EQ(futex(one).owner, base::Tid{12});
  EXPECT_TRUE(futex(one).owner_alive);
}

TEST_F(LockOwners, ALockNobodyElseReachesIsTheThreadsOwn) {
  auto& one = process(10);
  waiter(one, 10, 0x100).lock_wait->only_own_references = true;
  thread(one, 11, 0x200);
  name();
  EXPECT_EQ(futex(one).owner, base::Tid{10});
  EXPECT_TRUE(futex(one).owner_alive);
}

TEST_F(LockOwners, AForkedChildLacksTheThreadThatHolds) {
  auto& parent = process(10);
  thread(parent, 10, 0x100);
  thread(parent, 11, 0x200).held_locks = {kLock};
  auto& child = process(20, 10);
  waiter(child, 20, 0x100);
  name();
  EXPECT_EQ(futex(child).owner, base::Tid{11});
  EXPECT_FALSE(futex(child).owner_alive);
}

TEST_F(LockOwners, WhoCameAfterTheForkHoldsAnotherLock) {
  for (const bool by_ticks : {true, false}) {
    auto& parent = process(by_ticks ? 10 : 30);
    const std::int32_t pid = parent.pid.value();
    thread(parent, pid, 0x100);
    thread(parent, by_ticks ? pid + 1 : pid + 11, 0x200).held_locks = {kLock};
    parent.threads[1].start_time = by_ticks ? 8 : 7;
    auto& child = process(pid + 10, pid);
    child.start_time = 7;
    waiter(child, pid + 10, 0x100);
    name();
    EXPECT_EQ(futex(child).role, Role::kRuntimeLock);
    EXPECT_FALSE(futex(child).owner);
  }
}

TEST_F(LockOwners, AForkedChildLacksTheRecordedOwner) {
  auto& parent = process(10);
  thread(parent, 10, 0x100);
  thread(parent, 11, 0x200);
  auto& child = process(20, 10);
  waiter(child, 20, 0x100).lock_wait->owner = 0x200;
  name();
  EXPECT_EQ(futex(child).owner, base::Tid{11});
  EXPECT_FALSE(futex(child).owner_alive);
}

TEST_F(LockOwners, NothingOfTheParentWhereTheChildRunsAnotherProgramOrMoreThreads) {
  auto& parent = process(10);
  thread(parent, 10, 0x100);
  thread(parent, 11, 0x200).held_locks = {kLock};
  auto& executed = process(20, 10);
  executed.argv = {"python3", "other.py"};
  waiter(executed, 20, 0x100);
  auto& threaded = process(30, 10);
  waiter(threaded, 30, 0x100);
  thread(threaded, 31, 0x200);
  auto& forked_by_holder = process(40, 10);
  waiter(forked_by_holder, 40, 0x200);
  name();
  EXPECT_FALSE(futex(executed).owner);
  EXPECT_FALSE(futex(threaded).owner);
  EXPECT_FALSE(futex(forked_by_holder).owner);
}

TEST_F(LockOwners, ASharedLockIsKnownByItsPage) {
  auto& one = process(10);
  waiter(one, 10, 0x100);
  futex(one).is_private = false;
  futex(one).futex = kSharedLock;
  one.threads[0].wait.on.emplace_back(model::OnOutside{"whoever opens the file"});
  auto& other = process(20);
  thread(other, 20, 0x100).held_locks = {kLock + 0x100};
  thread(other, 21, 0x200).held_locks = {kLock};
  name();
  EXPECT_EQ(futex(one).role, Role::kRuntimeLock);
  EXPECT_EQ(futex(one).owner, base::Tid{20});
  EXPECT_TRUE(futex(one).owner_alive);
  EXPECT_EQ(one.threads[0].wait.on.size(), 1U) << "it is for its owner to release";
}

}  // namespace
}  // namespace stucktrace::engine
