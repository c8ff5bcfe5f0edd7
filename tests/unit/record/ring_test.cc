#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>

#include "tests/unit/record/fixtures.h"
#include "tracer/record/reader.h"
#include "tracer/record/ring_writer.h"

namespace stucktrace::record {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t kSize = RingWriter::kSmallest;

class RingTest : public testing::Test {
 protected:
  std::unique_ptr<RingWriter> ring(std::uint64_t size = kSize) {
    auto made = RingWriter::create(path_, small_header(), size);
    EXPECT_TRUE(made) << made.error().message();
    return std::move(*made);
  }
  // A task and `count` notes, numbered.
  static void tell(RingWriter& ring, std::uint64_t count) {
    model::TaskSeen seen;
    seen.comm = "sh";
    ring.on_event(at(1, seen));
    for (std::uint64_t i = 2; i <= count; ++i) {
      ring.on_event(at(i, model::Note{fmt::format("note {}", i)}));
    }
  }
  static model::Event at(std::uint64_t sequence, model::EventData data) {
    const base::Instant when{base::Nanoseconds{1'000'000'000 + static_cast<int>(sequence)}};
    return {sequence, when, base::Pid{10}, base::Tid{10}, std::move(data)};
  }
  static std::vector<std::uint64_t> notes(const Recording& recording) {
    std::vector<std::uint64_t> numbers;
    for (const model::Event& event : recording.events) {
      if (std::holds_alternative<model::Note>(event.data)) numbers.push_back(event.sequence);
    }
    return numbers;
  }
  static std::uint64_t lost(const Recording& recording) {
    std::uint64_t count = 0;
    for (const model::Event& event : recording.events) {
      if (const auto* lost = std::get_if<model::Lost>(&event.data)) count += lost->count;
    }
    return count;
  }
  Recording read(const std::string& path) {
    auto recording = read_recording(path);
    EXPECT_TRUE(recording);
    return recording ? std::move(*recording) : Recording{};
  }
  bool exists(const std::string& path) {
    struct stat about{};
    return ::stat(path.c_str(), &about) == 0;
  }

  TemporaryDirectory directory_;
  std::string path_ = directory_.file("recording");
};

TEST_F(RingTest, AShortTraceIsAnOrdinaryRecording) {
  auto writer = ring();
  for (const model::Event& event : small_trace()) writer->on_event(event);
  ASSERT_TRUE(writer->finish());
  const std::string ringed = slurp(path_);
  write_recording(path_, small_trace());
  EXPECT_EQ(ringed, slurp(path_));
}

TEST_F(RingTest, KeepsTheLastPartAndCountsTheRest) {
  constexpr std::uint64_t kEvents = 100'000;
  auto writer = ring();
  tell(*writer, kEvents);
  ASSERT_TRUE(writer->finish());
  const Recording recording = read(path_);
  EXPECT_EQ(recording.cut, std::nullopt);
  const auto kept = notes(recording);
  ASSERT_FALSE(kept.empty());
  EXPECT_EQ(kept.back(), kEvents);
  EXPECT_EQ(kept.back() - kept.front() + 1, kept.size()) << "a gap, or one told twice";
  EXPECT_EQ(lost(recording) + kept.size(), kEvents);
  ASSERT_TRUE(std::holds_alternative<model::TaskSeen>(recording.events.front().data));
  const std::size_t bytes = slurp(path_).size();
  EXPECT_LE(bytes, kSize + (std::size_t{1} << 12U));
  EXPECT_GE(bytes, kSize / 2);
  EXPECT_FALSE(exists(path_ + ".earlier"));
  EXPECT_FALSE(exists(path_ + ".whole"));
}

TEST_F(RingTest, NeverTakesMoreRoomThanAsked) {
  auto writer = ring();
  for (std::uint64_t i = 1; i <= 20'000; ++i) {
    writer->on_event(at(i, model::Note{"a note"}));
    if (i % 500 != 0) continue;
    writer->flush();
    std::size_t bytes = 0;
    for (const char* end : {"", ".earlier"}) {
      if (exists(path_ + end)) bytes += slurp(path_ + end).size();
    }
    ASSERT_LE(bytes, kSize + (std::size_t{1} << 12U));
  }
}

TEST_F(RingTest, BothPartsReplayIfItDies) {
  {
    auto writer = ring();
    tell(*writer, 50'000);
  }  // without finish()
  const Recording latest = read(path_);
  EXPECT_NE(latest.cut, std::nullopt);
  const Recording earlier = read(path_ + ".earlier");
  EXPECT_EQ(earlier.cut, std::nullopt);
  const auto before = notes(earlier);
  const auto after = notes(latest);
  ASSERT_FALSE(before.empty());
  if (!after.empty()) {
    EXPECT_EQ(before.back() + 1, after.front());
  }
  EXPECT_EQ(lost(latest), before.back());
}

TEST_F(RingTest, WhatAnEarlierRunLeftIsReplaced) {
  {
    tell(*ring(), 50'000);
  }
  ASSERT_TRUE(exists(path_ + ".earlier"));
  auto writer = ring();
  tell(*writer, 3);
  ASSERT_TRUE(writer->finish());
  EXPECT_FALSE(exists(path_ + ".earlier"));
  EXPECT_EQ(notes(read(path_)).size(), 2U);
}

TEST_F(RingTest, WhatIsNoRecordingIsLeftAlone) {
  spew(path_ + ".earlier", "a thesis");
  const auto made = RingWriter::create(path_, small_header(), kSize);
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().message(), HasSubstr("in the way"));
  EXPECT_EQ(slurp(path_ + ".earlier"), "a thesis");
}

TEST_F(RingTest, NeedsAFileAndRoom) {
  const auto device = RingWriter::create("/dev/null", small_header(), kSize);
  ASSERT_FALSE(device);
  EXPECT_THAT(device.error().message(), HasSubstr("regular file"));
  const auto small = RingWriter::create(path_, small_header(), 100);
  ASSERT_FALSE(small);
  EXPECT_THAT(small.error().message(), HasSubstr("65536"));
}

TEST_F(RingTest, PartsThatCannotBeJoinedAreKept) {
  auto writer = ring();
  tell(*writer, 50'000);
  ASSERT_EQ(::mkdir((path_ + ".whole").c_str(), 0700), 0);
  const auto done = writer->finish();
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().message(), HasSubstr("in two parts"));
  EXPECT_FALSE(notes(read(path_ + ".earlier")).empty());
  EXPECT_TRUE(exists(path_));
}

}  // namespace
}  // namespace stucktrace::record
