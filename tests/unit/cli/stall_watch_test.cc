#include "tracer/cli/stall_watch.h"

#include <gtest/gtest.h>

namespace stucktrace::cli {
namespace {

using namespace std::chrono_literals;

base::Instant at(base::Nanoseconds time) {
  return {1h + time};
}

model::Event enter(std::int64_t number, base::Nanoseconds time, int tid = 7) {
  model::SyscallEnter enter;
  enter.call.number = number;
  return {1, at(time), base::Pid{7}, base::Tid{tid}, enter};
}

model::Event exit(base::Nanoseconds time, int tid = 7) {
  return {2, at(time), base::Pid{7}, base::Tid{tid}, model::SyscallExit{}};
}

constexpr std::int64_t kWrite = 1;
constexpr std::int64_t kGetpid = 39;

TEST(StallWatch, AsksForALookAsSoonAsACallHasStalled) {
  StallWatch watch(1s);
  watch.observe(enter(kWrite, 0s));
  EXPECT_FALSE(watch.due(at(900ms)));
  EXPECT_TRUE(watch.due(at(1s)));
}

TEST(StallWatch, CallsThatEndInTimeAreNoReason) {
  StallWatch watch(1s);
  for (int i = 0; i < 20; ++i) {
    watch.observe(enter(kWrite, i * 100ms));
    watch.observe(exit(i * 100ms + 50ms));
    EXPECT_FALSE(watch.due(at(i * 100ms + 60ms)));
  }
}

TEST(StallWatch, CallsThatCannotBlockAreNoReason) {
  StallWatch watch(1s);
  watch.observe(enter(kGetpid, 0s));
  EXPECT_FALSE(watch.due(at(2s)));
}

TEST(StallWatch, LooksAtTheSamePictureBecomeRarer) {
  StallWatch watch(1s);
  watch.observe(enter(kWrite, 0s));
  int looks = 0;
  for (base::Nanoseconds time = 0s; time < 60s; time += 50ms) looks += watch.due(at(time)) ? 1 : 0;
  EXPECT_GE(looks, 3);
  EXPECT_LE(looks, 10);
}

TEST(StallWatch, NeverMoreThanOneLookAStallTime) {
  StallWatch watch(1s);
  int looks = 0;
  for (int i = 0; i < 200; ++i) {  // the blocked calls change all the time
    watch.observe(enter(kWrite, i * 50ms, 100 + i));
    looks += watch.due(at(i * 50ms)) ? 1 : 0;
  }
  EXPECT_LE(looks, 11);
}

TEST(StallWatch, LooksNowAndThenWhereNothingSeemsToBlock) {
  StallWatch watch(1s);
  watch.observe(enter(kGetpid, 0s));
  EXPECT_FALSE(watch.due(at(3s)));
  EXPECT_TRUE(watch.due(at(5s)));
}

}  // namespace
}  // namespace stucktrace::cli
