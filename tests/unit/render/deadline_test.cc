// Points in time that calls wait for are told as what was left of them.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/futex.h>

#include <ctime>

#include "tests/support/event_script.h"
#include "tracer/render/text_timeline.h"

namespace stucktrace::render {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::EventScript;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

constexpr base::Nanoseconds kWallOffset = seconds{1'700'000'000};

std::string time_bytes(base::Nanoseconds since) {
  const auto whole = std::chrono::floor<seconds>(since);
  return test::bytes_of(timespec{whole.count(), (since - whole).count()});
}

// One call that waits from 10 ms to 2 s for `deadline`; the lines of its trace.
std::vector<std::string> waiting(std::string_view name, std::initializer_list<std::uint64_t> args,
                                 base::Nanoseconds deadline,
                                 std::optional<base::Nanoseconds> wall_offset = kWallOffset) {
  EventScript script;
  script.seen(0, 10, 10, model::TaskSeen{});
  script.enter(10, 10, 10, name, args, {{0x7000, time_bytes(deadline)}});
  script.exit(2000, 10, 10, name, args, 0, {{0x7000, time_bytes(deadline)}});
  std::vector<std::string> lines;
  TimelineOptions options;
  options.wall_offset = wall_offset;
  TextTimeline timeline(options, EventScript::at_ms(0),
                        [&lines](std::string_view line) { lines.emplace_back(line); });
  for (const model::Event& event : script.events()) timeline.on_event(event);
  timeline.close();
  return lines;
}

const base::Nanoseconds kSoon = EventScript::at_ms(10 + 2500).since_boot;

TEST(Deadline, OfTheMonotonicClock) {
  const std::initializer_list<std::uint64_t> args{CLOCK_MONOTONIC, TIMER_ABSTIME, 0x7000, 0};
  EXPECT_THAT(waiting("clock_nanosleep", args, kSoon), Contains(HasSubstr("2.5 s left)")));
  const base::Nanoseconds past = EventScript::at_ms(3).since_boot;
  EXPECT_THAT(waiting("clock_nanosleep", args, past), Contains(HasSubstr("its time is up)")));
}

TEST(Deadline, OfTheTimeOfDay) {
  const std::initializer_list<std::uint64_t> args{CLOCK_REALTIME, TIMER_ABSTIME, 0x7000, 0};
  EXPECT_THAT(waiting("clock_nanosleep", args, kSoon + kWallOffset),
              Contains(HasSubstr("2.5 s left)")));
  EXPECT_THAT(waiting("clock_nanosleep", args, kSoon + kWallOffset, std::nullopt),
              Contains(HasSubstr("until a set time)")));
}

TEST(Deadline, OfAFutex) {
  EXPECT_THAT(
      waiting("futex", {0xc000, FUTEX_WAIT_BITSET_PRIVATE, 0, 0x7000, 0, 0xffffffff}, kSoon),
      Contains(HasSubstr("2.5 s left)")));
  EXPECT_THAT(waiting("futex",
                      {0xc000, FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME, 0, 0x7000, 0, ~0U},
                      kSoon + kWallOffset),
              Contains(HasSubstr("2.5 s left)")));
  // FUTEX_WAIT takes a duration (futex(2)).
  EXPECT_THAT(waiting("futex", {0xc000, FUTEX_WAIT_PRIVATE, 0, 0x7000}, milliseconds{4000}),
              Contains(HasSubstr(", 4 s)")));
}

TEST(Deadline, DurationsStayDurations) {
  const auto lines = waiting("clock_nanosleep", {CLOCK_MONOTONIC, 0, 0x7000, 0}, seconds{3});
  EXPECT_THAT(lines, Contains(HasSubstr(", 3 s)")));
  EXPECT_THAT(lines, Not(Contains(HasSubstr("left"))));
}

}  // namespace
}  // namespace stucktrace::render
