#include "tracer/render/watch_rows.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tracer/render/watch_lines.h"

namespace stucktrace::render {
namespace {

using namespace std::chrono_literals;
using base::Pid;
using base::Tid;
using testing::ElementsAre;

WatchThread thread(std::int32_t pid, std::int32_t tid, std::int32_t parent = 1,
                   WatchMood mood = WatchMood::kWaiting, std::string wait = "a lock") {
  WatchThread made;
  made.pid = Pid{pid};
  made.tid = Tid{tid};
  made.parent = Pid{parent};
  made.started = static_cast<std::uint64_t>(tid);
  made.role = fmt::format("R{}", tid);
  made.mood = mood;
  made.word = "futex";
  made.wait = std::move(wait);
  return made;
}

// "├─12": branch and thread of each row.
std::vector<std::string> told(const std::vector<WatchRow>& rows) {
  std::vector<std::string> lines;
  for (const WatchRow& row : rows) {
    lines.push_back(row.branch + fmt::format("{}", row.thread->tid) +
                    (row.alike > 1 ? fmt::format(" x{}", row.alike) : ""));
  }
  return lines;
}

TEST(WatchRows, ATreeAsPstreeDrawsIt) {
  const std::vector<WatchThread> threads = {thread(10, 10), thread(10, 11),     thread(20, 20, 10),
                                            thread(20, 21), thread(30, 30, 20), thread(40, 40, 10)};
  std::vector<WatchThread> fixed = threads;
  fixed[3].parent = Pid{10};
  EXPECT_THAT(told(watch_rows(fixed, WatchSort::kTree, {})),
              ElementsAre("10", "├─11", "├─20", "│ ├─21", "│ └─30", "└─40"));
}

TEST(WatchRows, RootsWithoutACommonParentStandBesideEachOther) {
  const std::vector<WatchThread> threads = {thread(10, 10, 1), thread(20, 20, 2)};
  EXPECT_THAT(told(watch_rows(threads, WatchSort::kTree, {})), ElementsAre("10", "20"));
}

TEST(WatchRows, ACircleOfParentsLosesNobody) {
  const std::vector<WatchThread> threads = {thread(10, 10, 20), thread(20, 20, 10),
                                            thread(30, 30, 30)};
  EXPECT_EQ(watch_rows(threads, WatchSort::kTree, {}).size(), 3U);
  EXPECT_FALSE(watch_rows(threads, WatchSort::kTree, {.processes = {Pid{10}}}).empty());
}

TEST(WatchRows, AVeryDeepTreeIsDrawnAllTheSame) {
  std::vector<WatchThread> threads;
  for (std::int32_t pid = 1; pid <= 20'000; ++pid) threads.push_back(thread(pid, pid, pid - 1));
  const auto rows = watch_rows(threads, WatchSort::kTree, {});
  EXPECT_EQ(rows.size(), threads.size());
  EXPECT_LT(rows.back().branch.size(), 1000U);
  const auto folded = watch_rows(threads, WatchSort::kTree, {.processes = {Pid{1}}});
  ASSERT_EQ(folded.size(), 1U);
  EXPECT_EQ(folded[0].hidden_processes, 19'999U);
}

TEST(WatchRows, AFoldedProcessTellsHowManyItHidesAndTheWorstOfThem) {
  std::vector<WatchThread> threads = {thread(10, 10), thread(10, 11), thread(20, 20, 10),
                                      thread(20, 21, 10, WatchMood::kStuck), thread(30, 30, 1)};
  const auto rows = watch_rows(threads, WatchSort::kTree, {.processes = {Pid{10}}});
  ASSERT_THAT(told(rows), ElementsAre("10", "30"));
  EXPECT_TRUE(rows[0].folded);
  EXPECT_EQ(rows[0].hidden_threads, 3U);
  EXPECT_EQ(rows[0].hidden_processes, 1U);
  EXPECT_EQ(rows[0].mood, WatchMood::kStuck);
}

TEST(WatchRows, ThreadsThatWaitAlikeBecomeOneRow) {
  std::vector<WatchThread> threads = {thread(10, 10)};
  for (std::int32_t tid = 11; tid <= 15; ++tid) {
    threads.push_back(thread(10, tid));
    threads.back().since = std::chrono::seconds(tid);
  }
  threads[3].mood = WatchMood::kRunning;
  auto rows = watch_rows(threads, WatchSort::kTree, {.processes = {}, .equal_waits = true});
  ASSERT_THAT(told(rows), ElementsAre("10", "├─11 x4", "└─13"));
  EXPECT_EQ(rows[1].wait, "a lock");
  EXPECT_EQ(rows[1].since, 15s);
  threads[4].wait = "another lock";
  rows = watch_rows(threads, WatchSort::kTree, {.processes = {}, .equal_waits = true});
  EXPECT_THAT(told(rows), ElementsAre("10", "├─11 x3", "├─13", "└─14")) << "three wait for one";
  threads[1].wait = "a third";
  threads[2].wait = "a fourth";
  rows = watch_rows(threads, WatchSort::kTree, {.processes = {}, .equal_waits = true});
  EXPECT_EQ(rows[1].wait, "futex, each its own");
}

TEST(WatchRows, WhatIsStuckDifferentlyIsNotLumpedTogether) {
  const std::vector<WatchThread> threads = {thread(10, 10),
                                            thread(10, 11, 1, WatchMood::kStuck, "lock A"),
                                            thread(10, 12, 1, WatchMood::kStuck, "lock B"),
                                            thread(10, 13, 1, WatchMood::kStuck, "lock B")};
  EXPECT_THAT(told(watch_rows(threads, WatchSort::kTree, {.processes = {}, .equal_waits = true})),
              ElementsAre("10", "├─11", "└─12 x2"));
}

TEST(WatchRows, Orders) {
  std::vector<WatchThread> threads = {thread(10, 10), thread(10, 11), thread(10, 12),
                                      thread(10, 13)};
  threads[0].since = 5s;
  threads[1].since = 90s;
  threads[2].mood = WatchMood::kStuck;
  threads[2].since = 1s;
  threads[3].mood = WatchMood::kRunning;
  EXPECT_THAT(told(watch_rows(threads, WatchSort::kStuckFirst, {})),
              ElementsAre("12", "13", "11", "10"));
  EXPECT_THAT(told(watch_rows(threads, WatchSort::kLongestWait, {})),
              ElementsAre("11", "10", "12", "13"));
}

TEST(WatchRows, NothingAtAll) {
  EXPECT_TRUE(watch_rows({}, WatchSort::kTree, {}).empty());
  EXPECT_TRUE(
      watch_rows({}, WatchSort::kLongestWait, {.processes = {}, .equal_waits = true}).empty());
}

TEST(WatchDuration, IsShort) {
  EXPECT_EQ(watch_duration(3600ms), "3.6 s");
  EXPECT_EQ(watch_duration(59'900ms), "59 s");
  EXPECT_EQ(watch_duration(125s), "2:05");
  EXPECT_EQ(watch_duration(3725s), "1:02:05");
  EXPECT_EQ(watch_duration(100h), "4 d 4 h");
  EXPECT_EQ(watch_duration(-1s), "0.0 s");
}

TEST(AsciiText, KeepsEveryColumn) {
  EXPECT_EQ(ascii_text("│ └─12 …"), "| `-12 .");
  EXPECT_EQ(ascii_text("naïve 日本 \xff"), "na?ve ?? ?");
}

}  // namespace
}  // namespace stucktrace::render
