#include "tracer/engine/awaited_ends.h"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>

namespace stucktrace::engine {
namespace {

using namespace std::chrono_literals;
using Role = model::OnFutex::Role;
using unwind::PythonAwaitedEnd;
using unwind::PythonThread;

constexpr std::uint64_t kWord = 0x5000;

class AwaitedEnds : public testing::Test {
 protected:
  model::Process& process(std::int32_t pid, std::int32_t parent,
                          std::vector<std::int32_t> numbers = {}) {
    auto& added = *processes_.emplace_back(std::make_unique<model::Process>());
    added.pid = base::Pid{pid};
    added.parent = base::Pid{parent};
    added.state = 'S';
    added.ns_pids = numbers.empty() ? std::vector{pid} : std::move(numbers);
    return added;
  }
  model::Thread& thread(model::Process& owner, std::int32_t tid, std::uint64_t pthread) {
    model::Thread& added = owner.threads.emplace_back();
    added.tid = base::Tid{tid};
    added.state = 'S';
    added.python = {{"_wait_for_tstate_lock", "/usr/lib/python3.9/threading.py", 1100, true},
                    {"join", "/usr/lib/python3.9/threading.py", 1080, true}};
    auto& known = runtime_[owner.pid].emplace_back();
    known.tid = added.tid;
    known.pthread = pthread;
    return added;
  }
  PythonAwaitedEnd& awaits(model::Process& owner, std::size_t index) {
    auto& end = runtime_[owner.pid].at(index).awaited_end.emplace();
    end.frame = 1;
    end.object = "worker";
    return end;
  }
  static model::OnFutex& sleeps(model::Thread& thread, std::uint64_t word) {
    model::OnFutex on;
    on.address = base::RemoteAddr{word};
    thread.wait.kind = model::WaitKind::kFutex;
    thread.wait.on = {on};
    return std::get<model::OnFutex>(thread.wait.on.front());
  }
  void name() {
    std::vector<model::Process*> all;
    for (const auto& one : processes_) all.push_back(one.get());
    name_awaited_ends(all, runtime_);
  }

  std::vector<std::unique_ptr<model::Process>> processes_;
  RuntimeThreads runtime_;
};

class JoinOf : public AwaitedEnds {
 protected:
  JoinOf() : one(process(10, 1)) {
    one.threads.reserve(2);
    thread(one, 10, 0x100);
    thread(one, 11, 0x200);
    auto& end = awaits(one, 0);
    end.pthread = 0x200;
    end.futex = kWord;
  }
  model::Process& one;
};

TEST_F(JoinOf, AThreadBecomesAKnownEdge) {
  sleeps(one.threads[0], kWord);
  name();
  EXPECT_EQ(one.threads[0].wait.kind, model::WaitKind::kThreadJoin);
  const auto& on = std::get<model::OnFutex>(one.threads[0].wait.on.front());
  EXPECT_EQ(on.role, Role::kJoin);
  EXPECT_EQ(on.owner, base::Tid{11});
  EXPECT_TRUE(on.owner_alive);
  ASSERT_TRUE(one.threads[0].awaited_end);
  EXPECT_EQ(one.threads[0].awaited_end->thread, base::Tid{11});
  EXPECT_EQ(one.threads[0].awaited_end->object, "worker");
  EXPECT_EQ(one.threads[0].awaited_end->frame.line, 1080);
}

TEST_F(JoinOf, AnotherWordIsAnotherWait) {
  sleeps(one.threads[0], kWord + 8);
  name();
  EXPECT_EQ(one.threads[0].wait.kind, model::WaitKind::kFutex);
  EXPECT_EQ(std::get<model::OnFutex>(one.threads[0].wait.on.front()).role, Role::kUnknown);
  EXPECT_FALSE(one.threads[0].awaited_end);
}

TEST_F(JoinOf, AThreadThatHasEndedIsNotWaitedFor) {
  sleeps(one.threads[0], kWord);
  one.threads[1].state = 'X';
  name();
  EXPECT_EQ(std::get<model::OnFutex>(one.threads[0].wait.on.front()).role, Role::kUnknown);
  EXPECT_FALSE(one.threads[0].awaited_end);
}

TEST_F(JoinOf, WithoutAKnownWordItIsOneOfTheOwnStack) {
  awaits(one, 0).pthread = 0x200;
  sleeps(one.threads[0], kWord);
  name();
  EXPECT_FALSE(one.threads[0].awaited_end) << "its stack is not known";
  one.threads[0].syscall.emplace().stack_pointer = kWord + 0x10;
  name();
  EXPECT_FALSE(one.threads[0].awaited_end);
  one.threads[0].syscall->stack_pointer = kWord - 0x10000;
  name();
  EXPECT_FALSE(one.threads[0].awaited_end) << "far up: somebody else's";
  one.threads[0].syscall->stack_pointer = kWord - 0x200;
  name();
  ASSERT_TRUE(one.threads[0].awaited_end);
}

TEST_F(JoinOf, WhoRunsWaitsForNobody) {
  one.threads[0].wait.kind = model::WaitKind::kRunning;
  name();
  EXPECT_FALSE(one.threads[0].awaited_end);
}

TEST_F(AwaitedEnds, OfAProcessIsThatOfAChildOfThatNumber) {
  // In a pid namespace of their own both call their child 7.
  model::Process& one = process(10, 1, {10, 1});
  model::Process& other = process(20, 1, {20, 1});
  process(11, 10, {11, 7});
  process(21, 20, {21, 7});
  thread(one, 10, 0x100);
  thread(other, 20, 0x100);
  awaits(one, 0).pid = 7;
  awaits(other, 0).pid = 7;
  name();
  ASSERT_TRUE(one.threads[0].awaited_end);
  EXPECT_EQ(one.threads[0].awaited_end->process, base::Pid{11});
  ASSERT_TRUE(other.threads[0].awaited_end);
  EXPECT_EQ(other.threads[0].awaited_end->process, base::Pid{21});
}

TEST_F(AwaitedEnds, AChildDeeperInNamespacesHasTheNumberItsParentSees) {
  model::Process& one = process(10, 1, {10, 4});
  process(11, 10, {11, 7, 1});
  process(12, 10, {12, 8, 7});
  thread(one, 10, 0x100);
  awaits(one, 0).pid = 7;
  name();
  ASSERT_TRUE(one.threads[0].awaited_end);
  EXPECT_EQ(one.threads[0].awaited_end->process, base::Pid{11});
}

TEST_F(AwaitedEnds, AStrangerWithTheNumberIsNotWaitedFor) {
  model::Process& one = process(10, 1);
  process(11, 1);
  thread(one, 10, 0x100);
  awaits(one, 0).pid = 11;
  name();
  EXPECT_FALSE(one.threads[0].awaited_end);
}

TEST_F(AwaitedEnds, AForkServersChildCounts) {
  model::Process& one = process(10, 1);
  process(11, 10);
  process(12, 11);
  thread(one, 10, 0x100);
  awaits(one, 0).pid = 12;
  name();
  ASSERT_TRUE(one.threads[0].awaited_end);
  EXPECT_EQ(one.threads[0].awaited_end->process, base::Pid{12});
}

TEST_F(AwaitedEnds, OfAProcessThatIsNotThereIsNotNamed) {
  model::Process& one = process(10, 1);
  process(12, 10);
  thread(one, 10, 0x100);
  awaits(one, 0).pid = 11;
  name();
  EXPECT_FALSE(one.threads[0].awaited_end);
}

}  // namespace
}  // namespace stucktrace::engine
