#include "tracer/render/watch_book.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/render/golden.h"
#include "tests/unit/render/watch_fixture.h"

namespace stucktrace::render {
namespace {

using namespace std::chrono_literals;
using base::Tid;
using test::look_at;
using test::SnapshotBuilder;

const WatchThread& row(const WatchBook& book, std::int32_t tid) {
  const auto& threads = book.threads();
  const auto found = std::ranges::find(threads, Tid{tid}, &WatchThread::tid);
  EXPECT_NE(found, threads.end()) << tid;
  static const WatchThread kNone;
  return found == threads.end() ? kNone : *found;
}

bool has(const WatchBook& book, std::int32_t tid) {
  return std::ranges::find(book.threads(), Tid{tid}, &WatchThread::tid) != book.threads().end();
}

SnapshotBuilder two_threads() {
  SnapshotBuilder tree;
  tree.process(10, "python3").role("P1").thread(11);
  tree.thread(10).joins(11);
  tree.thread(11).waits_on_condition();
  return tree;
}

TEST(WatchBook, CountsAWaitFromTheLookThatSawItFirst) {
  SnapshotBuilder tree = two_threads();
  WatchBook book;
  book.observe(look_at(tree, 0s));
  EXPECT_EQ(row(book, 11).since, 0ns);
  EXPECT_TRUE(row(book, 11).at_least) << "it may have waited for long before";
  book.observe(look_at(tree, 5s));
  EXPECT_EQ(row(book, 11).since, 5s);
  EXPECT_TRUE(row(book, 11).at_least);

  tree.thread(11).get().counters.voluntary_switches += 1;  // it ran, and waits anew
  book.observe(look_at(tree, 6s));
  EXPECT_EQ(row(book, 11).since, 0ns);
  EXPECT_FALSE(row(book, 11).at_least);
  book.observe(look_at(tree, 8s));
  EXPECT_EQ(row(book, 11).since, 2s);
  EXPECT_EQ(row(book, 10).since, 8s) << "the other one has not moved";
}

TEST(WatchBook, KnowsBetterWhenTheWaitBeganWhereTheSnapshotDoes) {
  SnapshotBuilder tree = two_threads();
  tree.thread(11).since(40s);
  WatchBook book;
  book.observe(look_at(tree, 0s));
  EXPECT_EQ(row(book, 11).since, 40s);
  EXPECT_FALSE(row(book, 11).at_least);
}

TEST(WatchBook, APollingLoopIsOneWaitAlthoughItMoves) {
  SnapshotBuilder tree = two_threads();
  tree.thread(11).polling("wait4(WNOHANG) + select 50 ms");
  WatchBook book;
  book.observe(look_at(tree, 0s));
  tree.thread(11).get().counters.voluntary_switches += 20;
  WatchLook look = look_at(tree, 1s);
  look.diagnosis.threads = {{Tid{11}, model::ThreadVerdict::kSlow}};
  book.observe(look);
  EXPECT_EQ(row(book, 11).since, 1s);
  EXPECT_EQ(row(book, 11).mood, WatchMood::kSlow);
}

TEST(WatchBook, WhatMovedBetweenTwoLooksWaitsForNoTimeAtAll) {
  SnapshotBuilder tree = two_threads();
  WatchBook book;
  book.observe(look_at(tree, 0s));
  tree.thread(11).get().counters.voluntary_switches += 3;
  WatchLook look = look_at(tree, 1s);
  look.diagnosis.threads = {{Tid{11}, model::ThreadVerdict::kSlow}};
  book.observe(look);
  EXPECT_EQ(row(book, 11).since, std::nullopt);
}

TEST(WatchBook, NewThreadsAreNewForAMoment) {
  SnapshotBuilder tree = two_threads();
  WatchBook book;
  book.observe(look_at(tree, 0s));
  EXPECT_FALSE(row(book, 11).fresh) << "nothing is new at the first look";
  book.observe(look_at(tree, 100ms));
  EXPECT_FALSE(row(book, 11).fresh);
  tree.process(20, "sh").child_of(10).role("P2");
  tree.thread(20).sleeps(10s);
  book.observe(look_at(tree, 1s));
  EXPECT_TRUE(row(book, 20).fresh);
  EXPECT_EQ(row(book, 20).parent, base::Pid{10});
  book.observe(look_at(tree, 1s + WatchBook::kNewsFor));
  EXPECT_FALSE(row(book, 20).fresh);
}

TEST(WatchBook, GoneThreadsStayForAMomentAndTheirNumberIsNotGivenAgain) {
  WatchBook book;
  SnapshotBuilder both = two_threads();
  book.observe(look_at(both, 0s));
  EXPECT_EQ(row(book, 11).role, "P1.T2");
  SnapshotBuilder other;
  other.process(10, "python3").role("P1").thread(12);
  other.thread(10).joins(12);
  other.thread(12).waits_on_condition();
  book.observe(look_at(other, 1s));
  EXPECT_EQ(row(book, 11).mood, WatchMood::kGone);
  EXPECT_EQ(row(book, 12).role, "P1.T3");
  EXPECT_FALSE(book.all_gone());
  book.observe(look_at(other, 1s + WatchBook::kNewsFor));
  EXPECT_FALSE(has(book, 11));
}

TEST(WatchBook, ATreeOfTheDeadHasEnded) {
  SnapshotBuilder tree;
  tree.process(10, "true").role("P1").zombie();
  tree.thread(10).get().state = 'Z';
  WatchBook book;
  book.observe(look_at(tree, 0s));
  EXPECT_TRUE(book.all_gone());
  EXPECT_EQ(row(book, 10).wait, "has ended, waits to be reaped");
}

TEST(WatchBook, SaysWhoCanEndAWait) {
  SnapshotBuilder tree = two_threads();
  tree.process(20, "cat").child_of(10).role("P2");
  tree.process(30, "tmux").role("P3").outside_the_tree();
  tree.thread(30).sleeps(1s);
  tree.thread(20).waits_on_condition();
  WatchLook look = look_at(tree, 0s);
  const auto edge = [](std::int32_t from, std::vector<Tid> to) {
    model::Edge made;
    made.from = Tid{from};
    made.to = std::move(to);
    return made;
  };
  look.diagnosis.edges = {edge(10, {Tid{11}}), edge(11, {Tid{10}, Tid{11}}),
                          edge(11, {Tid{20}, Tid{30}})};
  WatchBook book;
  book.observe(look);
  EXPECT_EQ(row(book, 10).whom, "P1.T2");
  EXPECT_EQ(row(book, 11).whom, "P2 tmux 30 +1") << "its own process comes last";
  EXPECT_FALSE(has(book, 30)) << "no finding speaks of it";

  look.diagnosis.findings.emplace_back().pid = base::Pid{30};
  look.diagnosis.edges = {edge(11, {Tid{30}}), edge(20, {})};
  look.diagnosis.edges[1].timer = 3s;
  book.observe(look);
  EXPECT_EQ(row(book, 11).whom, "P3");
  EXPECT_EQ(row(book, 20).whom, "clock");
  EXPECT_TRUE(has(book, 30));
  look.diagnosis.edges[1].outside = true;
  book.observe(look);
  EXPECT_EQ(row(book, 20).whom, "outside");
}

TEST(WatchBook, HostileNamesAreSafeAndTellApart) {
  SnapshotBuilder tree;
  auto evil = tree.process(10, "evil\x1b[2J\n");
  evil.role("P1").thread(11, "\xff\xfe\x9b");
  evil.get().argv = {"evil", "a b", "\x1b]0;title\x07"};
  tree.thread(10).joins(11);
  tree.thread(11).waits_on_condition();
  WatchBook book;
  book.observe(look_at(tree, 0s));
  for (const WatchThread& thread : book.threads()) {
    EXPECT_TRUE(test::terminal_safe(thread.name)) << thread.name;
  }
  EXPECT_THAT(row(book, 10).name, testing::HasSubstr("'a b'"));
}

}  // namespace
}  // namespace stucktrace::render
