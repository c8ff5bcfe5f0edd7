#include "tracer/cli/kept_events.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>

#include "tests/support/event_script.h"
#include "tests/unit/record/fixtures.h"

namespace stucktrace::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr int kPid = 10;

std::vector<model::Event> some_events() {
  test::EventScript script;
  script.seen(0, kPid, kPid, {});
  script.made(1, kPid, kPid, kPid + 1, model::NewTaskKind::kFork);
  script.add(2, kPid, kPid, model::TaskExit{});
  return script.events();
}

std::vector<std::uint64_t> sequences(const KeptEvents& kept) {
  std::vector<std::uint64_t> list;
  const auto done =
      kept.for_each([&](const model::Event& event) { list.push_back(event.sequence); });
  EXPECT_TRUE(done) << done.error().message();
  return list;
}

TEST(KeptEvents, GoToAFileOfTheirOwnWhereNothingIsRecorded) {
  for (const char* recording : {"", "/dev/null"}) {
    auto kept = KeptEvents::create(recording, {});
    ASSERT_TRUE(kept) << kept.error().message();
    for (const model::Event& event : some_events()) (*kept)->on_event(event);
    (*kept)->finish();
    EXPECT_THAT(sequences(**kept), ElementsAre(1, 2, 3));
    EXPECT_THAT(sequences(**kept), ElementsAre(1, 2, 3));
    EXPECT_EQ((*kept)->survey().tasks.tasks().size(), 2U);
    EXPECT_TRUE((*kept)->survey().numbers.contains(kPid + 1));
  }
}

TEST(KeptEvents, AreThoseOfTheRecordingWhereThereIsOne) {
  const record::TemporaryDirectory directory;
  const std::string path = directory.file("recording");
  auto writer = record::Writer::create(path, {});
  ASSERT_TRUE(writer) << writer.error().message();
  auto kept = KeptEvents::create(path, {});
  ASSERT_TRUE(kept) << kept.error().message();
  for (const model::Event& event : some_events()) {
    (*writer)->on_event(event);
    (*kept)->on_event(event);
  }
  ASSERT_TRUE((*writer)->finish());
  (*kept)->finish();
  // Programs clear up behind themselves.
  std::filesystem::remove(path);
  EXPECT_THAT(sequences(**kept), ElementsAre(1, 2, 3));
}

TEST(KeptEvents, FailWhereTheyCouldNotAllBeWritten) {
  ASSERT_NE(std::signal(SIGXFSZ, SIG_IGN), SIG_ERR);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  auto kept = KeptEvents::create("", {});
  ASSERT_TRUE(kept) << kept.error().message();
  for (const model::Event& event : some_events()) (*kept)->on_event(event);
  rlimit none = before;
  none.rlim_cur = 1;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &none), 0);
  (*kept)->finish();
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  const auto done = (*kept)->for_each([](const model::Event&) {});
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().message(), HasSubstr("cannot write recording of the run"));
}

}  // namespace
}  // namespace stucktrace::cli
