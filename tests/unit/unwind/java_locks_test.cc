#include "tracer/unwind/java_locks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <initializer_list>
#include <set>

#include "java_fakes.h"

namespace stucktrace::unwind {
namespace {

using base::Tid;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Kind = FakeJava::Kind;
using enum JavaLockWait::Kind;

constexpr std::uint64_t kAnonymous = 1;

class Machine : public FakeJava {
 public:
  using FakeJava::FakeJava;

  // What one look finds when all the threads of the process that are alive sleep in futexes.
  std::vector<JavaLockWait> look(std::initializer_list<std::int32_t> alive = {11, 12, 13, 14}) {
    finish();
    const auto known = tables();
    EXPECT_TRUE(known);
    if (!known) return {};
    const std::set<std::int32_t> numbers(alive);
    std::vector<Tid> parked;
    for (const std::int32_t number : numbers) parked.emplace_back(number + 100);
    const auto objects = JavaObjects::read(space, *known);
    return look_at_java_locks(space, *known, objects ? &*objects : nullptr, parked,
                              [&](std::int32_t number) -> std::optional<Tid> {
                                if (!numbers.contains(number)) return std::nullopt;
                                return Tid{number + 100};  // as another pid namespace counts
                              });
  }
};

JavaLockWait wait(std::int32_t waiter, std::int32_t owner, JavaLockWait::Kind kind) {
  return {Tid{waiter + 100}, Tid{owner + 100}, kind};
}

TEST(JavaMonitors, NameTheThread) {
  for (const Kind kind : {Kind::kOld, Kind::kMiddle}) {
    Machine java{kind};
    const auto one = java.thread(11);
    const auto other = java.thread(12);
    java.wants(one, java.monitor(java.object(java.object_class), other.address));
    java.wants(other, java.monitor(java.object(java.object_class), one.address));
    EXPECT_THAT(java.look(), ElementsAre(wait(11, 12, kMonitor), wait(12, 11, kMonitor)));
  }
}

TEST(JavaMonitors, NameThePlaceOnTheStackOfWhoLockedFirst) {
  Machine java{Kind::kMiddle};
  const auto one = java.thread(11);
  const auto other = java.thread(12);
  const auto object = java.object(java.object_class);
  java.wants(one, java.monitor(object, other.stack_base - 64));
  EXPECT_THAT(java.look(), ElementsAre(wait(11, 12, kMonitor)));
}

TEST(JavaMonitors, TheBaseIsNotPartOfTheStack) {
  Machine java{Kind::kMiddle};
  const auto one = java.thread(11);
  const auto other = java.thread(12);
  java.wants(one, java.monitor(java.object(java.object_class), other.stack_base));
  java.wants(other, java.monitor(java.object(java.object_class), one.stack_base - 4097));
  EXPECT_THAT(java.look(), IsEmpty());
}

TEST(JavaMonitors, NameTheNumber) {
  Machine java{Kind::kRecent};
  const auto one = java.thread(11);
  java.thread(12);
  java.wants(one, java.monitor(java.object(java.object_class), 1012));
  EXPECT_THAT(java.look(), ElementsAre(wait(11, 12, kMonitor)));
}

TEST(JavaMonitors, NameNobodyAndTheOwnerHasTheObject) {
  Machine java{Kind::kRecent};
  const auto one = java.thread(11);
  const auto other = java.thread(12);
  const auto object = java.object(java.object_class);
  java.push_locked(other, object);
  java.wants(one, java.monitor(object, kAnonymous));
  EXPECT_THAT(java.look(), ElementsAre(wait(11, 12, kMonitor)));
}

TEST(JavaMonitors, TwoCannotHaveTheObject) {
  Machine java{Kind::kRecent};
  const auto object = java.object(java.object_class);
  java.wants(java.thread(11), java.monitor(object, kAnonymous));
  java.push_locked(java.thread(12), object);
  java.push_locked(java.thread(13), object);
  EXPECT_THAT(java.look(), IsEmpty());
}

TEST(JavaMonitors, ALockStackHasATop) {
  Machine java{Kind::kRecent};
  const auto object = java.object(java.object_class);
  java.wants(java.thread(11), java.monitor(object, kAnonymous));
  const auto other = java.thread(12);
  java.push_locked(other, object);
  java.space.put(other.address + 80, std::uint32_t{88});  // popped since
  EXPECT_THAT(java.look(), IsEmpty());
  java.space.put(other.address + 80, ~std::uint32_t{0});
  EXPECT_THAT(java.look(), IsEmpty());
}

TEST(JavaMonitors, OwnersThatAreNone) {
  Machine java{Kind::kMiddle};
  const auto one = java.thread(11);
  const auto other = java.thread(12);
  const auto object = java.object(java.object_class);
  const std::uint64_t monitor = java.monitor(object, 0);
  java.wants(one, monitor);
  EXPECT_THAT(java.look(), IsEmpty()) << "free";
  java.space.put(monitor + 40, one.address);
  EXPECT_THAT(java.look(), IsEmpty()) << "given to the waiter itself";
  java.space.put(monitor + 40, java.space.allocate(64));
  EXPECT_THAT(java.look(), IsEmpty()) << "not on the list";
  java.space.put(monitor + 40, other.address);
  EXPECT_THAT(java.look({11}), IsEmpty()) << "has ended";
  EXPECT_THAT(java.look({12}), IsEmpty()) << "the waiter is not asleep";
  EXPECT_THAT(java.look({11, 12}), ElementsAre(wait(11, 12, kMonitor)));
}

TEST(JavaMonitors, WhoDoesNotSayItWaitsDoesNot) {
  Machine java{Kind::kMiddle};
  const auto one = java.thread(11, false);
  const auto other = java.thread(12);
  java.wants(one, java.monitor(java.object(java.object_class), other.address));
  EXPECT_THAT(java.look(), IsEmpty());
}

TEST(JavaMonitors, OneNumberTwiceIsAListOfThePast) {
  Machine java{Kind::kMiddle};
  const auto one = java.thread(11);
  const auto other = java.thread(12);
  java.thread(12);
  java.wants(one, java.monitor(java.object(java.object_class), other.address));
  EXPECT_THAT(java.look(), IsEmpty());
}

struct Heap {
  Kind kind;
  bool compressed;
};

class JavaSynchronizers : public ::testing::TestWithParam<Heap> {
 protected:
  Machine java{GetParam().kind, {GetParam().compressed, false}};
};

TEST_P(JavaSynchronizers, NameTheThreadObject) {
  const auto one = java.thread(11);
  const auto other = java.thread(12);
  java.parks(one, java.lock(other.object));
  java.parks(other, java.lock(one.object));
  EXPECT_THAT(java.look(), ElementsAre(wait(11, 12, kSynchronizer), wait(12, 11, kSynchronizer)));
}

TEST_P(JavaSynchronizers, OtherReasonsToPark) {
  java.parks(java.thread(11), java.object(java.object_class));
  java.parks(java.thread(12), java.lock(0));
  java.parks(java.thread(13), java.lock(java.object(java.thread_class)));
  java.thread(14);
  EXPECT_THAT(java.look(), IsEmpty());
}

TEST_P(JavaSynchronizers, WhatIsBeingMovedIsNotRead) {
  const auto one = java.thread(11);
  const auto other = java.thread(12);
  const std::uint64_t lock = java.lock(other.object);
  java.parks(one, lock);
  java.space.put(lock, lock + 3);
  EXPECT_THAT(java.look(), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Heaps, JavaSynchronizers,
                         ::testing::Values(Heap{Kind::kOld, true}, Heap{Kind::kOld, false},
                                           Heap{Kind::kMiddle, true}, Heap{Kind::kMiddle, false},
                                           Heap{Kind::kRecent, true}, Heap{Kind::kRecent, false}));

TEST(JavaObjects, ColouredReferencesAreNotBelieved) {
  Machine java{Kind::kRecent, {false, true}};
  const auto one = java.thread(11);
  const auto other = java.thread(12);
  const auto third = java.thread(13);
  java.parks(one, java.lock(other.object));
  java.wants(third, java.monitor(java.object(java.object_class), 1012));
  EXPECT_THAT(java.look(), ElementsAre(wait(13, 12, kMonitor)));
}

TEST(JavaObjects, ClassesThatAreTheirOwnBase) {
  Machine java{Kind::kMiddle};
  const auto one = java.thread(11);
  const auto circle = java.object(java.object_class);
  java.space.put(java.object_class + 16, java.object_class);
  java.parks(one, circle);
  EXPECT_THAT(java.look(), IsEmpty());
}

}  // namespace
}  // namespace stucktrace::unwind
