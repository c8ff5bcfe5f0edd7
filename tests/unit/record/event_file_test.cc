#include "tracer/record/event_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <thread>

#include "tests/unit/record/fixtures.h"

namespace stucktrace::record {
namespace {

using testing::EndsWith;
using testing::HasSubstr;

std::vector<std::uint64_t> sequences(const std::vector<model::Event>& events) {
  std::vector<std::uint64_t> list;
  for (const auto& event : events) list.push_back(event.sequence);
  return list;
}

// As one pass gives them.
std::vector<std::uint64_t> sequences(const model::EventSource& events) {
  std::vector<std::uint64_t> list;
  const auto done =
      events.for_each([&](const model::Event& event) { list.push_back(event.sequence); });
  EXPECT_TRUE(done) << done.error().message();
  return list;
}

class EventFileTest : public testing::Test {
 protected:
  void SetUp() override { write_recording(path_, small_trace()); }

  TemporaryDirectory directory_;
  std::string path_ = directory_.file("recording");
};

TEST_F(EventFileTest, GivesTheSameEventsAgain) {
  const auto events = EventFile::open(path_);
  ASSERT_TRUE(events) << events.error().message();
  EXPECT_EQ(sequences(*events), sequences(small_trace()));
  EXPECT_EQ(sequences(*events), sequences(small_trace()));
}

TEST_F(EventFileTest, StaysTheFileWhateverBecomesOfItsName) {
  const auto events = EventFile::open(path_);
  ASSERT_TRUE(events) << events.error().message();
  ASSERT_TRUE(std::filesystem::remove(path_));
  spew(path_, "something else");
  EXPECT_EQ(sequences(*events), sequences(small_trace()));
}

TEST_F(EventFileTest, CopiesWhatCanBeReadOnce) {
  const std::string pipe = directory_.file("pipe");
  ASSERT_EQ(::mkfifo(pipe.c_str(), S_IRUSR | S_IWUSR), 0);
  const std::jthread writer{[&] { spew(pipe, slurp(path_)); }};
  const auto events = EventFile::open(pipe);
  ASSERT_TRUE(events) << events.error().message();
  EXPECT_EQ(sequences(*events), sequences(small_trace()));
  EXPECT_EQ(sequences(*events), sequences(small_trace()));
}

TEST_F(EventFileTest, FailsAtTheEndOfWhatIsNotWhole) {
  const std::string whole = slurp(path_);
  spew(path_, std::string_view{whole}.substr(0, whole.size() - 1));
  const auto events = EventFile::open(path_);
  ASSERT_TRUE(events) << events.error().message();
  std::size_t seen = 0;
  const auto done = events->for_each([&](const model::Event&) { ++seen; });
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().message(), HasSubstr(path_ + ": the recording "));
  EXPECT_EQ(seen, small_trace().size());
}

TEST_F(EventFileTest, FailsForWhatIsNoRecordingOrNotThere) {
  EXPECT_FALSE(EventFile::open(directory_.file("nothing")));
  const auto directory = EventFile::open(directory_.file(""));
  ASSERT_FALSE(directory);
  EXPECT_THAT(directory.error().message(), HasSubstr("cannot read recording"));
  spew(path_, "a text");
  const auto text = EventFile::open(path_);
  ASSERT_TRUE(text) << text.error().message();
  const auto done = text->for_each([](const model::Event&) {});
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().message(), EndsWith("is not a stucktrace recording"));
}

TEST(UnnamedFile, LeavesNothingWhereItIs) {
  const TemporaryDirectory directory;
  ASSERT_EQ(::setenv("TMPDIR", directory.file("").c_str(), 1), 0);
  const auto file = unnamed_file();
  const bool empty = std::filesystem::is_empty(directory.file(""));
  ASSERT_EQ(::setenv("TMPDIR", directory.file("missing").c_str(), 1), 0);
  const auto none = unnamed_file();
  ASSERT_EQ(::unsetenv("TMPDIR"), 0);
  ASSERT_TRUE(file) << file.error().message();
  EXPECT_TRUE(empty);
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message(), HasSubstr(directory.file("missing")));
}

}  // namespace
}  // namespace stucktrace::record
