#include "tracer/compare/things.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/support/event_script.h"

namespace stucktrace::compare {
namespace {

using model::FdMode;
using model::ResourceKind;
using test::EventScript;
using test::fd_entry;

constexpr int kPid = 10;
constexpr std::uint64_t kFiles = 3;
constexpr std::uint64_t kOpens = 50'000;

void open(EventScript& script, double at, int fd, std::uint64_t file) {
  script.call(at, at, kPid, kPid, "openat", {0, 0, 0}, fd, {},
              {fd_entry(fd, ResourceKind::kRegularFile, 100 + file, FdMode::kRead,
                        "/f" + std::to_string(file))});
}

TEST(ThingsTest, HoldNoMoreFilesThanThereAreHoweverOftenTheyAreOpened) {
  EventScript script;
  script.seen(0, kPid, kPid, {});
  script.call(1, 1, kPid, kPid, "pipe2", {0, 0}, 0, {},
              {fd_entry(3, ResourceKind::kPipe, 77, FdMode::kRead),
               fd_entry(4, ResourceKind::kPipe, 77, FdMode::kWrite)});
  open(script, 2, 5, 0);  // and stays open
  open(script, 2, 6, 0);
  for (std::uint64_t i = 0; i < kOpens; ++i) {
    open(script, 3, 7, i % kFiles);
    script.call(3, 3, kPid, kPid, "close", {7}, 0);
  }
  const Normaliser normalise{{}, {}};
  Things things{normalise};
  const Thing* of_five = nullptr;
  std::size_t kept = 0;
  for (const model::Event& event : script.events()) {
    const auto fresh = things.observe(event, "P1", true);
    for (Thing* thing : fresh) EXPECT_EQ(things.all()[thing->index].get(), thing);
    if (of_five == nullptr) of_five = things.find(base::Pid{kPid}, 5);
  }
  for (const auto& thing : things.all()) kept += thing != nullptr ? 1U : 0U;
  EXPECT_EQ(things.all().size(), kOpens + 3);
  EXPECT_LT(kept, 5'000U);
  ASSERT_NE(of_five, nullptr);
  EXPECT_EQ(things.find(base::Pid{kPid}, 5), of_five);
  EXPECT_EQ(of_five->name, "\"/f0\"");
  EXPECT_EQ(things.find(base::Pid{kPid}, 6)->name, "\"/f0\"");
  EXPECT_EQ(things.find(base::Pid{kPid}, 3)->name, "P1:pipe#1");
}

}  // namespace
}  // namespace stucktrace::compare
