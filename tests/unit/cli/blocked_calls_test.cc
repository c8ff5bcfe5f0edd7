#include "tracer/cli/blocked_calls.h"

#include <gtest/gtest.h>

#include "tests/support/event_script.h"

namespace stucktrace::cli {
namespace {

using namespace std::chrono_literals;
using test::EventScript;

BlockedCalls after(const EventScript& script) {
  BlockedCalls calls(1s);
  for (const model::Event& event : script.events()) calls.observe(event);
  return calls;
}

TEST(BlockedCalls, AreToldOnceWhenTheyHaveLasted) {
  BlockedCalls calls = after(EventScript{}
                                 .enter(0, 10, 11, "read", {3, 0x1000, 5})
                                 .enter(500, 10, 10, "write", {4, 0x1000, 5}));
  EXPECT_TRUE(calls.due(EventScript::at_ms(999)).empty());
  const auto first = calls.due(EventScript::at_ms(1000));
  ASSERT_EQ(first.size(), 1U);
  EXPECT_EQ(first[0].tid, base::Tid{11});
  EXPECT_TRUE(calls.is_open(first[0]));
  const auto second = calls.due(EventScript::at_ms(60'000));
  ASSERT_EQ(second.size(), 1U);
  EXPECT_EQ(second[0].tid, base::Tid{10});
  EXPECT_TRUE(calls.due(EventScript::at_ms(120'000)).empty());
}

TEST(BlockedCalls, TheSameCallAgainIsAnother) {
  EventScript script;
  script.enter(0, 10, 10, "read", {3, 0x1000, 5});
  BlockedCalls calls = after(script);
  const auto first = calls.due(EventScript::at_ms(2000));
  ASSERT_EQ(first.size(), 1U);
  model::Event exit{2, EventScript::at_ms(2001), base::Pid{10}, base::Tid{10},
                    model::SyscallExit{}};
  calls.observe(exit);
  EXPECT_FALSE(calls.is_open(first[0]));
  model::Event again{3, EventScript::at_ms(2002), base::Pid{10}, base::Tid{10},
                     model::SyscallEnter{}};
  calls.observe(again);
  EXPECT_FALSE(calls.is_open(first[0]));
  EXPECT_TRUE(calls.due(EventScript::at_ms(2500)).empty());
  EXPECT_EQ(calls.due(EventScript::at_ms(3002)).size(), 1U);
}

TEST(BlockedCalls, OneFoundByALookIsAsOldAsItSays) {
  model::SyscallEnter enter;
  enter.looked_up = true;
  enter.age = 900ms;
  BlockedCalls calls = after(EventScript{}.add(1000, 10, 10, enter));
  EXPECT_TRUE(calls.due(EventScript::at_ms(1099)).empty());
  EXPECT_EQ(calls.due(EventScript::at_ms(1100)).size(), 1U);
}

TEST(BlockedCalls, EndWithTheirTasks) {
  const auto still_due = [](model::EventData data) {
    return after(EventScript{}
                     .enter(0, 10, 11, "read", {3, 0x1000, 5})
                     .add(1, 10, 11, std::move(data)))
        .due(EventScript::at_ms(5000))
        .size();
  };
  EXPECT_EQ(still_due(model::TaskExit{}), 0U);
  EXPECT_EQ(still_due(model::Detached{}), 0U);
  EXPECT_EQ(still_due(model::Exec{}), 0U);
  EXPECT_EQ(still_due(model::Note{}), 1U);
}

}  // namespace
}  // namespace stucktrace::cli
