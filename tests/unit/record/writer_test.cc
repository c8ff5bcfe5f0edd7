#include "tracer/record/writer.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "tests/unit/record/deep.h"
#include "tests/unit/record/fixtures.h"
#include "tracer/record/reader.h"

namespace stucktrace::record {
namespace {

using testing::HasSubstr;

class WriterTest : public testing::Test {
 protected:
  TemporaryDirectory directory_;
  std::string path_ = directory_.file("recording");
};

model::Event note(std::uint64_t sequence, std::string text) {
  return {sequence, {}, {}, {}, model::Note{std::move(text)}};
}

TEST_F(WriterTest, AHeaderAloneIsAWholeRecording) {
  write_recording(path_, {});
  const auto recording = read_recording(path_);
  ASSERT_TRUE(recording);
  EXPECT_TRUE(recording->events.empty());
  EXPECT_EQ(recording->cut, std::nullopt);
  EXPECT_TRUE(same(recording->header, small_header()));
}

TEST_F(WriterTest, TheFileIsItsOwnersOnly) {
  write_recording(path_, {});
  struct stat status{};
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
}

TEST_F(WriterTest, EmptiesAnExistingFile) {
  spew(path_, std::string(100'000, 'x'));
  write_recording(path_, small_trace());
  const auto recording = read_recording(path_);
  ASSERT_TRUE(recording);
  EXPECT_EQ(recording->events.size(), small_trace().size());
  EXPECT_EQ(recording->cut, std::nullopt);
}

TEST_F(WriterTest, TellsWhyAPathCannotBeWritten) {
  const auto missing = Writer::create(directory_.file("no/such/place"), small_header());
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().message(), "cannot write recording " +
                                           directory_.file("no/such/place") +
                                           ": No such file or directory (ENOENT)");
  const auto directory = Writer::create(directory_.file(""), small_header());
  ASSERT_FALSE(directory);
  EXPECT_THAT(directory.error().message(), HasSubstr("(EISDIR)"));
  const auto output = Writer::create("-", small_header());
  ASSERT_FALSE(output);
  EXPECT_EQ(output.error().kind, base::ErrorKind::kUsage);
}

TEST_F(WriterTest, AFullDiskShowsAtOnce) {
  const auto writer = Writer::create("/dev/full", small_header());
  ASSERT_FALSE(writer);
  EXPECT_EQ(writer.error().message(),
            "cannot write recording /dev/full: No space left on device (ENOSPC)");
}

TEST_F(WriterTest, BuffersUntilFlushed) {
  auto writer = Writer::create(path_, small_header());
  ASSERT_TRUE(writer);
  const std::size_t header = slurp(path_).size();
  EXPECT_GT(header, kPreambleSize);
  (*writer)->on_event(note(1, "one"));
  EXPECT_EQ(slurp(path_).size(), header);
  (*writer)->flush();
  EXPECT_GT(slurp(path_).size(), header);
  (*writer)->on_event(note(2, std::string(70'000, 'x')));
  EXPECT_GT(slurp(path_).size(), header + 70'000);
  (*writer)->on_event(note(3, "lost unless the destructor flushes"));
  EXPECT_EQ((*writer)->events(), 3U);
  writer->reset();

  const auto recording = read_recording(path_);
  ASSERT_TRUE(recording);
  EXPECT_EQ(recording->events.size(), 3U);
  EXPECT_EQ(recording->cut, "the recording was not closed: it ends after event 3");
}

TEST_F(WriterTest, NothingChangesAfterTheEnd) {
  auto writer = Writer::create(path_, small_header());
  ASSERT_TRUE(writer);
  ASSERT_TRUE((*writer)->finish());
  const std::string closed = slurp(path_);
  (*writer)->on_event(note(1, "late"));
  (*writer)->flush();
  EXPECT_TRUE((*writer)->finish());
  writer->reset();
  EXPECT_EQ(slurp(path_), closed);
}

TEST_F(WriterTest, AReaderThatGoesAwayStopsTheRecordingOnly) {
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  base::UniqueFd reader{::open(path_.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)};
  ASSERT_TRUE(reader.valid());
  auto* const before = ::signal(SIGPIPE, SIG_IGN);
  auto writer = Writer::create(path_, small_header());
  ASSERT_TRUE(writer) << writer.error().message();
  EXPECT_FALSE((*writer)->failure());
  reader.reset();
  (*writer)->on_event(note(1, "nobody reads this"));
  (*writer)->flush();
  (*writer)->on_event(note(2, "nor this"));
  ASSERT_TRUE((*writer)->failure());
  EXPECT_EQ((*writer)->failure()->code, base::Errno{EPIPE});
  EXPECT_EQ((*writer)->events(), 1U);
  const auto done = (*writer)->finish();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().message(), "cannot write recording " + path_ + ": Broken pipe (EPIPE)");
  ::signal(SIGPIPE, before);
}

TEST_F(WriterTest, WhatFitBeforeTheLimitStaysReadable) {
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &limit), 0);
  auto* const before = ::signal(SIGXFSZ, SIG_IGN);
  auto writer = Writer::create(path_, small_header());
  ASSERT_TRUE(writer);
  rlimit small = limit;
  small.rlim_cur = 5'000;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  for (std::uint64_t i = 1; i <= 100; ++i) (*writer)->on_event(note(i, std::string(100, 'x')));
  const auto done = (*writer)->finish();
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  ::signal(SIGXFSZ, before);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, base::Errno{EFBIG});

  const auto recording = read_recording(path_);
  ASSERT_TRUE(recording);
  EXPECT_GT(recording->events.size(), 30U);
  EXPECT_LT(recording->events.size(), 60U);
  EXPECT_EQ(recording->cut,
            fmt::format("the recording ends in the middle of event {}; shown up to there",
                        recording->events.size() + 1));
}

TEST_F(WriterTest, AnEventTooLargeIsRefusedWhole) {
  EventEncoder encoder{{}};
  std::string frames = "before";
  EXPECT_FALSE(encoder.append(note(9, std::string(200, 'x')), frames, 100));
  EXPECT_EQ(frames, "before");
  // The chain of differences goes on from the last event that was taken.
  EXPECT_TRUE(encoder.append(note(1, "y"), frames, 100));
  EventDecoder decoder{{}};
  const auto event = decoder.decode(std::string_view{frames}.substr(6 + 2));
  ASSERT_TRUE(event && *event);
  EXPECT_EQ((*event)->sequence, 1U);
}

}  // namespace
}  // namespace stucktrace::record
