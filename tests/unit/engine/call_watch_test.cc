#include "tracer/engine/call_watch.h"

#include <gtest/gtest.h>

#include "tests/support/fake_proc.h"

namespace stucktrace::engine {
namespace {

using namespace std::chrono_literals;

constexpr int kPid = 4'000'100;  // of nobody
constexpr char kPoll[] =
    "7 0x7ffd00000000 0x0 0xffffffff 0x0 0x0 0x0 0x7ffd00000000 0x7f0000000000\n";

class SetClock final : public base::Clock {
 public:
  base::Instant now() const override { return {now_}; }
  base::Nanoseconds wall() const override { return now_; }
  void pass(base::Nanoseconds time) { now_ += time; }

 private:
  base::Nanoseconds now_ = 1s;
};

class CallWatchTest : public testing::Test {
 protected:
  CallWatchTest() {
    watch_.observe({0, clock_.now(), base::Pid{kPid}, base::Tid{kPid}, model::TaskSeen{}});
  }
  void set(char state, const std::string& call) {
    proc_.add({.pid = kPid, .tid = kPid, .state = state, .syscall = call});
  }
  std::vector<model::Event> look() {
    clock_.pass(100ms);
    return watch_.look(clock_);
  }
  void told(model::EventData data) {
    watch_.observe({0, clock_.now(), base::Pid{kPid}, base::Tid{kPid}, std::move(data)});
  }

  test::FakeProc proc_;
  SetClock clock_;
  CallWatch watch_{{}, kernel::Procfs{proc_.root()}};
};

TEST_F(CallWatchTest, ACallThatLastsIsToldOnceAndSoIsItsEnd) {
  set('S', kPoll);
  EXPECT_TRUE(look().empty());
  const auto entered = look();
  ASSERT_EQ(entered.size(), 1U);
  const auto* enter = std::get_if<model::SyscallEnter>(&entered[0].data);
  ASSERT_NE(enter, nullptr);
  EXPECT_TRUE(enter->looked_up);
  EXPECT_EQ(enter->call.number, 7);
  EXPECT_TRUE(look().empty());
  set('R', "running\n");
  const auto left = look();
  ASSERT_EQ(left.size(), 1U);
  EXPECT_TRUE(std::holds_alternative<model::SyscallExit>(left[0].data));
}

TEST_F(CallWatchTest, WhatTheTracerHoldsAtItsEntryIsTheTracersToTell) {
  set('t', kPoll);
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(look().empty());
  told(model::SyscallEnter{});
  set('S', kPoll);
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(look().empty());
  model::SyscallExit exit;
  told(exit);
  look();
  EXPECT_EQ(look().size(), 1U) << "the next one runs without a stop";
}

}  // namespace
}  // namespace stucktrace::engine
