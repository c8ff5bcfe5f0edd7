#include "tracer/render/trace_lanes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/render/birth_case.h"
#include "tests/unit/render/trace_text.h"

namespace stucktrace::render {
namespace {

using testing::HasSubstr;

// ---- who released whom --------------------------------------------------------------------------

// The role that ended the last call of `tid`.
std::string released_by(const EventScript& script, int tid) {
  TraceLanes lanes(EventScript::kStart);
  feed(lanes, script);
  std::string by = "no span";
  for (const Lane& lane : lanes.lanes()) {
    if (lane.tid == base::Tid{tid} && !lane.spans.empty()) by = lane.spans.back().released_by;
  }
  return by;
}

TEST(Releases, AFutexByItsWaker) {
  EventScript script = two_threads();
  script.enter(1, 10, 10, "futex", {0xc000, 128, 2});
  script.call(5, 5.1, 10, 11, "futex", {0xd000, 129, 1}, 1);  // another word
  EventScript other = script;
  script.call(6, 6.1, 10, 11, "futex", {0xc000, 129, 1}, 1);
  script.exit(7, 10, 10, "futex", {0xc000, 128, 2}, 0);
  EXPECT_EQ(released_by(script, 10), "P1.T2");
  other.exit(7, 10, 10, "futex", {0xc000, 128, 2}, 0);
  EXPECT_EQ(released_by(other, 10), "");
}

TEST(Releases, AJoinByTheThreadsEnd) {
  EventScript script = two_threads();
  script.enter(1, 10, 10, "futex", {0xc000, 128, 11});
  script.add(5, 10, 11, model::TaskExit{});
  script.exit(6, 10, 10, "futex", {0xc000, 128, 11}, 0);
  EXPECT_EQ(released_by(script, 10), "P1.T2");
}

TEST(Releases, AWaitByTheChildsEndAndNotByATimeOut) {
  EventScript script;
  script.seen(0, 10, 10, {});
  script.made(0.1, 10, 10, 20, model::NewTaskKind::kFork);
  script.seen(0.2, 20, 20, {});
  EventScript late = script;
  script.enter(1, 10, 10, "wait4", {20, 0, 0, 0});
  script.add(5, 20, 20, model::TaskExit{});
  script.exit(6, 10, 10, "wait4", {20, 0, 0, 0}, 20);
  EXPECT_EQ(released_by(script, 10), "P2.T1");
  // It had ended before: nobody was waited for.
  late.add(1, 20, 20, model::TaskExit{});
  late.call(5, 6, 10, 10, "wait4", {20, 0, 0, 0}, 20);
  EXPECT_EQ(released_by(late, 10), "");
}

// ---- lanes --------------------------------------------------------------------------------------

TEST(TraceLanes, AThreadsLifeAndWords) {
  TraceLanes lanes(EventScript::kStart);
  feed(lanes, test::birth_case());
  const std::vector<Lane> all = lanes.lanes();
  ASSERT_EQ(all.size(), 4U);
  EXPECT_EQ(all[0].role, "P1.T1");
  EXPECT_EQ(all[2].role, "P2.T2");
  const Lane& feeder = all[2];
  ASSERT_EQ(feeder.spans.size(), 1U);
  EXPECT_EQ(feeder.spans[0].kind, "io");
  EXPECT_EQ(feeder.spans[0].released_by, "P1.T1");
  EXPECT_THAT(feeder.spans[0].text, HasSubstr("write(4<pipe:25725"));
  EXPECT_EQ(feeder.ended, EventScript::at_ms(5064.5));
  bool said = false;
  for (const LaneMark& mark : all[1].marks) {
    said = said || mark.text == "says \"All done! Goodbye!\"";
  }
  EXPECT_TRUE(said);
}

TEST(TraceLanes, ACallThatIsOpenIsThereBeforeTheEnd) {
  TraceLanes lanes(EventScript::kStart);
  EventScript script;
  script.seen(0, 10, 10, {}).enter(1, 10, 10, "read", {3, 0x1000, 1});
  script.call(2, 3, 11, 11, "close", {3}, 0);
  for (const model::Event& event : script.events()) lanes.on_event(event);
  const auto spans = [&] { return lanes.lanes().at(0).spans; };
  ASSERT_EQ(spans().size(), 1U);
  EXPECT_TRUE(spans()[0].open);
  EXPECT_EQ(spans()[0].start, EventScript::at_ms(1));
  EXPECT_EQ(spans()[0].end, EventScript::at_ms(3));
  lanes.close();
  EXPECT_EQ(spans().size(), 1U) << "told twice";
}

TEST(TraceLanes, KeepsTheLongestOfTooMany) {
  TraceLanes lanes(EventScript::kStart, {.lanes = 2, .spans = 10, .marks = 3});
  EventScript script;
  script.seen(0, 10, 10, {});
  double at = 1;
  for (int i = 0; i < 200; ++i) {
    const double length = 0.1 + (i * 37 % 200) * 0.01;
    script.call(at, at + length, 10, 10, "close", {3}, 0);
    at += length + 0.1;
  }
  for (int tid = 20; tid < 25; ++tid) script.seen(at, tid, tid, {});
  for (int i = 0; i < 5; ++i) script.add(at + 1 + i, 10, 10, model::SignalStop{10, 0, {}, 0});
  feed(lanes, script);
  const std::vector<Lane> all = lanes.lanes();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_LE(all[0].spans.size(), 10U);
  EXPECT_GE(all[0].spans.size(), 9U);
  for (const LaneSpan& span : all[0].spans) {
    EXPECT_GE(span.end - span.start, std::chrono::microseconds{1980});
  }
  EXPECT_EQ(lanes.left_out().spans + all[0].spans.size(), 200U);
  EXPECT_EQ(lanes.left_out().lanes, 4U);
  ASSERT_EQ(all[0].marks.size(), 3U);
  EXPECT_EQ(all[0].marks.back().at, EventScript::at_ms(at + 5));
  EXPECT_EQ(lanes.left_out().marks, 2U);
}

// A make with many short children, the last of which hangs.
TEST(TraceLanes, KeepsTheThreadThatHangs) {
  EventScript script;
  script.seen(0, 10, 10, {});
  for (int i = 0; i < 2000; ++i) {
    const int tid = 100 + i;
    script.seen(i + .1, tid, tid, {});
    script.call(i + .2, i + .3, tid, tid, "read", {3, 0x9000, 5}, 0);
    script.add(i + .4, tid, tid, model::TaskExit{});
    script.add(i + .5, 10, 10, model::SignalStop{17, 0, {}, 0});
  }
  script.seen(2001, 9000, 9000, {});
  script.enter(2002, 9000, 9000, "read", {3, 0x9000, 5});
  script.add(3000, 10, 10, model::SignalStop{17, 0, {}, 0});
  TraceLanes lanes(EventScript::kStart);
  model::FindingRecord record;
  record.finding.tid = base::Tid{150};
  bool told = false;
  for (const model::Event& event : script.events()) {
    if (!std::exchange(told, true)) lanes.finding(record);
    lanes.on_event(event);
  }
  lanes.close();
  const std::vector<Lane> all = lanes.lanes();
  EXPECT_EQ(all.size(), 500U);
  EXPECT_EQ(lanes.left_out().lanes, 1502U);
  const auto lane = [&](int tid) {
    const auto at = std::ranges::find(all, base::Tid{tid}, &Lane::tid);
    return at == all.end() ? nullptr : &*at;
  };
  ASSERT_NE(lane(9000), nullptr);
  ASSERT_EQ(lane(9000)->spans.size(), 1U);
  EXPECT_TRUE(lane(9000)->spans[0].open);
  EXPECT_NE(lane(150), nullptr);
  ASSERT_NE(lane(10), nullptr);
  ASSERT_FALSE(lane(10)->marks.empty());
  EXPECT_EQ(lane(10)->marks.back().at, EventScript::at_ms(3000));
  std::size_t marks = 0;
  for (const Lane& each : all) marks += each.marks.size();
  EXPECT_LE(marks, 4000U);
}

TEST(TraceLanes, AnExecEndsTheOtherThreads) {
  EventScript script = two_threads();
  script.enter(1, 10, 11, "execve", {0x7000, 0, 0});
  script.add(3, 10, 10, model::Exec{base::Tid{11}, "/bin/true", {"true"}, {}});
  TraceLanes lanes(EventScript::kStart);
  feed(lanes, script);
  const std::vector<Lane> all = lanes.lanes();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_FALSE(all[0].ended.has_value());
  EXPECT_EQ(all[1].ended, EventScript::at_ms(3));
}

}  // namespace
}  // namespace stucktrace::render
