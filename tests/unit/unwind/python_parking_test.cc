// Locks and joins of 3.13 and later, where each thread that waits sleeps on a word of its own.
#include <gtest/gtest.h>

#include "tests/fuzz/python_world.h"
#include "tracer/unwind/python_awaited.h"
#include "tracer/unwind/python_locks.h"
#include "tracer/unwind/python_stack.h"

namespace stucktrace::unwind {
namespace {

class PythonParking : public testing::TestWithParam<int> {
 protected:
  std::vector<PythonLink> chain(std::size_t thread) const {
    return stacks.chain(world.states.at(thread)).value_or(std::vector<PythonLink>{});
  }
  std::uint64_t mutex() const {
    return world.contended + static_cast<std::uint64_t>(world.fake.layout.lock_mutex);
  }
  void put(std::uint64_t address, auto value) { world.fake.space.put(address, value); }

  static constexpr std::size_t kJoins = 0, kHolds = 1, kWaits = 2;
  PythonWorld world{GetParam()};
  PythonObjects objects{world.fake.space, world.fake.layout};
  PythonStacks stacks{objects};
  PythonLocks locks{objects};
};
INSTANTIATE_TEST_SUITE_P(Minor, PythonParking, testing::Values(13, 14, 15));

class PythonParking314 : public PythonParking {};
INSTANTIATE_TEST_SUITE_P(Minor, PythonParking314, testing::Values(14, 15));

TEST_P(PythonParking314, ABlockHoldsItsLockWhileThatIsTaken) {
  EXPECT_EQ(locks.held(chain(kHolds), 7), std::vector{mutex()});
  EXPECT_TRUE(locks.held(chain(kWaits), 7).empty());
  put(mutex(), std::uint8_t{0});
  EXPECT_TRUE(locks.held(chain(kHolds), 7).empty()) << "given back meanwhile";
}

TEST_P(PythonParking314, WhatIsOnTheStackBesideAnotherFunctionIsNotHeld) {
  const std::uint64_t other = world.fake.object("method_descriptor", 64);
  put(other + static_cast<std::uint64_t>(world.fake.layout.descriptor_name),
      world.fake.name("acquire"));
  put(world.holder_values + 8, other);
  EXPECT_TRUE(locks.held(chain(kHolds), 7).empty());
}

TEST_P(PythonParking, TheWordBesideTheFutexTellsTheLock) {
  const auto wait = locks.awaited(chain(kWaits), world.lock_futex);
  ASSERT_TRUE(wait);
  EXPECT_EQ(wait->futex, world.lock_futex);
  EXPECT_EQ(wait->lock, mutex());
  EXPECT_EQ(wait->owner, 0u);
  EXPECT_FALSE(locks.awaited(chain(kWaits), world.futex)) << "that of another wait";
  EXPECT_FALSE(locks.awaited(chain(kWaits), mutex())) << "nobody sleeps on the lock itself";
}

TEST_P(PythonParking314, OnlyCountedReferencesAreThoseOfTheThreadItself) {
  const auto only_own = [&](std::uint32_t references) {
    put(world.contended, references);
    const auto wait = locks.awaited(chain(kHolds), world.lock_futex);
    return wait && wait->only_own_references;
  };
  EXPECT_TRUE(only_own(2)) << "a local, and one on the stack";
  EXPECT_FALSE(only_own(3));
  put(world.holder_values + 16, world.contended | 1);  // the stack borrows it
  EXPECT_TRUE(only_own(1));
  EXPECT_FALSE(only_own(2));
}

TEST(PythonParking313, ALargerLockHasASemaphore) {
  PythonWorld world{13};
  const PythonLayout& layout = world.fake.layout;
  const auto at = [](std::uint64_t address, int offset) {
    return address + static_cast<std::uint64_t>(offset);
  };
  world.fake.space.put(at(world.fake.type("_thread.lock"), layout.type_basic_size),
                       std::uint64_t{40});
  const std::uint64_t semaphore = world.fake.space.allocate(32);
  world.fake.space.put(at(world.contended, layout.lock_native), semaphore);
  const PythonObjects objects{world.fake.space, layout};
  const PythonStacks stacks{objects};
  PythonLocks locks{objects};
  const auto chain = stacks.chain(world.states.at(2));
  ASSERT_TRUE(chain);
  const auto wait = locks.awaited(*chain, semaphore);
  ASSERT_TRUE(wait);
  EXPECT_EQ(wait->lock, semaphore);
  EXPECT_FALSE(locks.awaited(*chain, world.lock_futex));
}

TEST_P(PythonParking, AJoinIsForTheThreadWhoseHandleIsBesideTheFutex) {
  PythonAwaited awaited{objects, stacks};
  const auto links = chain(kJoins);
  const auto frames = stacks.describe(links);
  ASSERT_TRUE(frames);
  const auto find = [&](std::uint64_t futex) {
    return awaited.find(world.interpreter, links, *frames, futex);
  };
  const auto end = find(world.futex);
  ASSERT_TRUE(end);
  EXPECT_EQ(end->pthread, 7u);
  EXPECT_EQ(end->object, "worker");
  EXPECT_EQ(end->futex, world.futex);
  EXPECT_FALSE(find(world.lock_futex)) << "it sleeps for something else";
  const auto unseen = find(0);
  ASSERT_TRUE(unseen);
  EXPECT_EQ(unseen->futex, 0u);
}

}  // namespace
}  // namespace stucktrace::unwind
