#include "tracer/diagnose/announce.h"

#include <gtest/gtest.h>

namespace stucktrace::diagnose {
namespace {

base::Instant at(int ms) {
  return {std::chrono::milliseconds(ms)};
}

class Announces : public testing::TestWithParam<const char*> {};
TEST_P(Announces, IsAnAnnouncement) {
  EXPECT_TRUE(AnnouncePhrases().match(GetParam()));
}
INSTANTIATE_TEST_SUITE_P(
    Lines, Announces,
    testing::Values("All done! Goodbye!", "done", "Done.", "DONE", "all done", "Finished",
                    "finished in 3.2s", "Job finished successfully.",
                    "[12:01:02] INFO worker: completed", "Build complete", "bye", "Good bye!",
                    "Success!", "Exiting", "exiting now", "Shutting down...", "shutdown",
                    "25 passed in 0.12s", "===== 25 passed, 3 skipped in 1.02s =====", "100% done",
                    "10/10 done", "Done: 12 files", "\x1b[32mDone\x1b[0m", "10 of 10 finished"));

class DoesNotAnnounce : public testing::TestWithParam<const char*> {};
TEST_P(DoesNotAnnounce, IsNone) {
  EXPECT_FALSE(AnnouncePhrases().match(GetParam()));
}
INSTANTIATE_TEST_SUITE_P(Lines, DoesNotAnnounce,
                         testing::Values("", "   ", "---", "not done", "0% done", "99.5% complete",
                                         "almost done", "undone", "isn't done yet", "3/10 done",
                                         "3 of 10 done", "waiting until all are finished",
                                         "nothing is ever completed without a longer story here",
                                         "abandoned", "no success", "will be shut down", "goodbyes",
                                         "starting up", "passed 3"));

TEST(AnnouncePhrases, UserExpressionsAddToTheBuiltInOnes) {
  const auto phrases = AnnouncePhrases::compile({"^fin\\d+$", "tschüss"});
  ASSERT_TRUE(phrases);
  EXPECT_TRUE(phrases->match("FIN42"));
  EXPECT_TRUE(phrases->match("na dann: tschüss auch"));
  EXPECT_TRUE(phrases->match("done"));
  EXPECT_FALSE(phrases->match("fin"));
}

TEST(AnnouncePhrases, ABadExpressionIsAUsageErrorThatNamesIt) {
  const auto phrases = AnnouncePhrases::compile({"ok", "(("});
  ASSERT_FALSE(phrases);
  EXPECT_EQ(phrases.error().kind, base::ErrorKind::kUsage);
  EXPECT_NE(phrases.error().message().find("(("), std::string::npos);
}

TEST(AnnouncePhrases, LongHostileLinesAreCheap) {
  const auto phrases = AnnouncePhrases::compile({"(a+)b$"});
  ASSERT_TRUE(phrases);
  EXPECT_FALSE(phrases->match(std::string(1 << 20, '\xff')));
  EXPECT_FALSE(phrases->match(std::string(1 << 20, 'z')));
}

TEST(AnnounceDetector, TheLastMeaningfulLineCounts) {
  AnnounceDetector detector;
  detector.write(1, "working\nAll done! Goodbye!\n", at(5));
  ASSERT_TRUE(detector.current());
  EXPECT_EQ(detector.current()->text, "All done! Goodbye!");
  EXPECT_EQ(detector.current()->fd, 1);
  EXPECT_EQ(detector.current()->at, at(5));
  detector.write(1, "\n---\n  \n", at(6));
  EXPECT_TRUE(detector.current()) << "blank and ruled lines say nothing";
  detector.write(1, "one more thing\n", at(7));
  EXPECT_FALSE(detector.current());
}

TEST(AnnounceDetector, ALineMayComeInPiecesAndMayStayUnfinished) {
  AnnounceDetector detector;
  detector.write(1, "All do", at(1));
  EXPECT_FALSE(detector.current());
  detector.write(1, "ne!", at(2));
  ASSERT_TRUE(detector.current());
  EXPECT_EQ(detector.current()->at, at(2));
  detector.write(1, " Not yet, there is more to say", at(3));
  EXPECT_FALSE(detector.current());
}

TEST(AnnounceDetector, ALaterLineOfAnotherStreamRetracts) {
  AnnounceDetector detector;
  detector.write(1, "done\n", at(1));
  detector.write(2, "warning: retrying", at(2));
  EXPECT_FALSE(detector.current());
  detector.write(1, "done\n", at(3));
  ASSERT_TRUE(detector.current());
  EXPECT_EQ(detector.current()->fd, 1);
}

TEST(AnnounceDetector, CarriageReturnsEndLinesToo) {
  AnnounceDetector detector;
  detector.write(1, "done\r 10%\r 20%", at(1));
  EXPECT_FALSE(detector.current());
}

TEST(AnnounceDetector, WorkAndLostOutputRetract) {
  AnnounceDetector detector;
  detector.write(1, "done\n", at(1));
  detector.retract();
  EXPECT_FALSE(detector.current());
  detector.write(1, "done\n", at(2));
  detector.lost_output(2);
  EXPECT_FALSE(detector.current());
}

TEST(AnnounceDetector, AnEndlessLineIsBounded) {
  AnnounceDetector detector;
  for (int i = 0; i < 100; ++i) detector.write(1, std::string(1000, 'x'), at(i));
  detector.write(1, " done", at(200));
  EXPECT_FALSE(detector.current()) << "beyond the first 4 KiB nothing is kept";
  detector.write(1, "\ndone", at(201));
  EXPECT_TRUE(detector.current());
}

}  // namespace
}  // namespace stucktrace::diagnose
