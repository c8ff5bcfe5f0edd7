#include "tracer/render/watch_screen.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/render/birth_case.h"
#include "tests/unit/render/golden.h"
#include "tests/unit/render/watch_fixture.h"
#include "tracer/render/escape.h"

namespace stucktrace::render {
namespace {

using namespace std::chrono_literals;
using test::look_at;
using test::SnapshotBuilder;
using test::text_of;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

WatchLook birth_look() {
  const model::Report report = test::birth_report();
  return {report.snapshot, report.diagnosis};
}

WatchScreen birth_screen(WatchSize size = {}) {
  WatchScreen screen({"4711", 1s});
  screen.resize(size);
  screen.show(birth_look());
  return screen;
}

WatchScreen pool_screen(std::int32_t threads, WatchSize size = {}) {
  SnapshotBuilder tree;
  auto process = tree.process(1000, "server");
  process.role("P1");
  for (std::int32_t tid = 1001; tid < 1000 + threads; ++tid) process.thread(tid, "worker");
  tree.thread(1000).accepts();
  for (std::int32_t tid = 1001; tid < 1000 + threads; ++tid) {
    tree.thread(tid).waits_on_condition(static_cast<std::uint64_t>(tid) * 64);
  }
  WatchScreen screen({"1000", 1s});
  screen.resize(size);
  screen.show(look_at(tree, 0s));
  return screen;
}

// The line in reverse.
std::string selected(const WatchScreen& screen) {
  for (const WatchLine& line : screen.picture()) {
    if (line.selected) return text_of(line);
  }
  return "";
}

TEST(WatchScreen, TheKeysStayInSightOnTheSmallestScreen) {
  for (std::size_t lines = 1; lines < 12; ++lines) {
    const WatchPicture picture = birth_screen({.lines = lines, .columns = 60}).picture();
    ASSERT_EQ(picture.size(), lines);
    EXPECT_THAT(text_of(picture.back()), testing::StartsWith("q quit")) << lines;
  }
}

TEST(WatchScreen, TheBirthCaseIn80By24) {
  test::expect_golden("watch_birth.txt", text_of(birth_screen().picture()));
}

TEST(WatchScreen, NoLineIsWiderOrHigherThanTheTerminal) {
  for (const auto& screen :
       {birth_screen, +[](WatchSize size) { return pool_screen(300, size); }}) {
    for (const std::size_t lines : {1U, 2U, 5U, 24U, 60U}) {
      for (const std::size_t width : {1U, 12U, 39U, 59U, 80U, 200U}) {
        WatchScreen each = screen({lines, width});
        for (const WatchKey key : {WatchKey::kSort, WatchKey::kEnd, WatchKey::kFold, WatchKey::kWhy,
                                   WatchKey::kStacks, WatchKey::kPageDown, WatchKey::kHelp}) {
          const WatchPicture picture = each.picture();
          EXPECT_EQ(picture.size(), lines);
          for (const WatchLine& line : picture) {
            for (const WatchSpan& span : line.spans) {
              EXPECT_LE(span.column + columns(span.text), width) << text_of(line);
            }
          }
          each.press(key);
        }
      }
    }
  }
}

TEST(WatchScreen, TellsTheVerdictFirstAndTheRemedyWhenAsked) {
  WatchScreen screen = birth_screen();
  EXPECT_THAT(text_of(screen.picture()),
              AllOf(HasSubstr("\nSTUCK until"), HasSubstr("r why"), Not(HasSubstr("Remedy"))));
  screen.press(WatchKey::kWhy);
  screen.press(WatchKey::kEnd);
  EXPECT_THAT(text_of(screen.picture()), HasSubstr("Remedy"));
  EXPECT_EQ(screen.press(WatchKey::kBack), WatchWish::kNothing) << "closes what is open";
  EXPECT_EQ(screen.press(WatchKey::kBack), WatchWish::kQuit);
  EXPECT_EQ(screen.press(WatchKey::kQuit), WatchWish::kQuit);
}

TEST(WatchScreen, ALargePoolIsFoldedFromTheStart) {
  WatchScreen screen = pool_screen(300);
  EXPECT_THAT(text_of(screen.picture()), HasSubstr("299 threads"));
  screen.press(WatchKey::kFoldEqual);
  EXPECT_THAT(text_of(screen.picture()), Not(HasSubstr("299 threads")));
  EXPECT_THAT(text_of(pool_screen(5).picture()), Not(HasSubstr("4 threads")));
}

TEST(WatchScreen, MovesThroughAllRowsAndNotBeyond) {
  WatchScreen screen = pool_screen(300);
  screen.press(WatchKey::kFoldEqual);
  EXPECT_THAT(selected(screen), HasSubstr("P1 "));
  screen.press(WatchKey::kUp);
  EXPECT_THAT(selected(screen), HasSubstr("P1 "));
  screen.press(WatchKey::kEnd);
  EXPECT_THAT(selected(screen), HasSubstr("1299"));
  screen.press(WatchKey::kDown);
  EXPECT_THAT(selected(screen), HasSubstr("1299"));
  screen.press(WatchKey::kPageUp);
  EXPECT_THAT(selected(screen), Not(HasSubstr("1299")));
  EXPECT_NE(selected(screen), "");
  screen.press(WatchKey::kHome);
  screen.press(WatchKey::kDown);
  EXPECT_THAT(selected(screen), HasSubstr("1001"));
}

TEST(WatchScreen, TheSelectionStaysWithItsThread) {
  SnapshotBuilder tree;
  tree.process(20, "b").role("P1").thread(21, "worker");
  tree.thread(20).joins(21);
  tree.thread(21).sleeps(5s);
  WatchScreen screen({"20", 1s});
  screen.show(look_at(tree, 0s));
  screen.press(WatchKey::kEnd);
  EXPECT_THAT(selected(screen), HasSubstr("P1.T2"));
  tree.process(10, "a").role("P2");  // comes to stand above
  tree.thread(10).sleeps(5s);
  screen.show(look_at(tree, 1s));
  EXPECT_THAT(selected(screen), HasSubstr("P1.T2"));
}

TEST(WatchScreen, FoldsTheProcessOfTheSelectedThreadAndOpensItAgain) {
  WatchScreen screen = birth_screen();
  const std::string open = text_of(screen.picture());
  screen.press(WatchKey::kDown);
  screen.press(WatchKey::kFold);
  EXPECT_THAT(text_of(screen.picture()), HasSubstr("[+"));
  screen.press(WatchKey::kFold);
  screen.press(WatchKey::kHome);
  EXPECT_EQ(text_of(screen.picture()), open);
}

TEST(WatchScreen, SortsInThreeOrdersAndRoundAgain) {
  WatchScreen screen = birth_screen({24, 120});
  EXPECT_THAT(text_of(screen.picture()), HasSubstr("tree"));
  screen.press(WatchKey::kSort);
  EXPECT_THAT(text_of(screen.picture()), HasSubstr("stuck first"));
  screen.press(WatchKey::kSort);
  EXPECT_THAT(text_of(screen.picture()), HasSubstr("longest wait"));
  screen.press(WatchKey::kSort);
  EXPECT_THAT(text_of(screen.picture()), HasSubstr("tree"));
}

TEST(WatchScreen, ShowsTheStackOfTheSelectedThread) {
  WatchScreen screen = birth_screen();
  EXPECT_FALSE(screen.wants_stacks());
  screen.press(WatchKey::kStacks);
  EXPECT_TRUE(screen.wants_stacks());
  WatchLook look = birth_look();
  auto snapshot = std::make_shared<model::Snapshot>(*look.snapshot);
  snapshot->processes[0].threads[0].stack.clear();
  snapshot->processes[0].threads[0].stack_note.clear();
  snapshot->processes[0].threads[0].python = {{"take\x1b[31m", "/srv/\n/app.py", 12}};
  look.snapshot = snapshot;
  screen.show(look);
  const std::string text = text_of(screen.picture());
  EXPECT_THAT(text, AllOf(HasSubstr("Python, innermost first"), HasSubstr("app.py:12 take")));
  EXPECT_TRUE(test::terminal_safe(text));
  snapshot->processes[0].threads[0].python.clear();
  screen.show(look);
  EXPECT_THAT(text_of(screen.picture()), HasSubstr("being read"));
  screen.press(WatchKey::kStacks);
  EXPECT_FALSE(screen.wants_stacks());
}

TEST(WatchScreen, SaysThatItIsPausedOrAtItsEnd) {
  WatchScreen screen = birth_screen();
  screen.press(WatchKey::kPause);
  EXPECT_TRUE(screen.paused());
  EXPECT_THAT(text_of(screen.picture()), HasSubstr("PAUSED"));
  screen.end();
  EXPECT_THAT(text_of(screen.picture()), AllOf(HasSubstr("ENDED"), HasSubstr("have ended")));
  EXPECT_EQ(screen.press(WatchKey::kDown), WatchWish::kNothing) << "it stays until q";
}

TEST(WatchScreen, ANoteStaysUntilTheNextKey) {
  WatchScreen screen = birth_screen();
  EXPECT_EQ(screen.press(WatchKey::kSave), WatchWish::kSave);
  screen.say("wrote file.json");
  EXPECT_THAT(text_of(screen.picture()), HasSubstr("wrote file.json"));
  screen.press(WatchKey::kDown);
  EXPECT_THAT(text_of(screen.picture()), Not(HasSubstr("wrote file.json")));
}

TEST(WatchScreen, BeforeTheFirstLookEveryKeyIsHarmless) {
  WatchScreen screen({"1", 1s});
  for (int key = 0; key <= static_cast<int>(WatchKey::kHelp); ++key) {
    screen.press(static_cast<WatchKey>(key));
    EXPECT_EQ(screen.picture().size(), 24U);
  }
}

}  // namespace
}  // namespace stucktrace::render
