#include "tracer/compare/assertion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/compare/program.h"

namespace stucktrace::compare {
namespace {

using testing::HasSubstr;

struct Wrong {
  const char* text;
  std::size_t column;
  const char* what;
};
class WrongAssertion : public testing::TestWithParam<Wrong> {};

TEST_P(WrongAssertion, SaysWhere) {
  const auto parsed = parse_assertion(GetParam().text);
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().column, GetParam().column);
  EXPECT_THAT(parsed.error().what, HasSubstr(GetParam().what));
}

INSTANTIATE_TEST_SUITE_P(
    Texts, WrongAssertion,
    testing::Values(Wrong{"", 1, "expected never"}, Wrong{"P2", 3, "expected never"},
                    Wrong{"never", 6, "which calls"}, Wrong{"never conect", 7, "'connect'"},
                    Wrong{"opens", 6, "expected <="}, Wrong{"opens <= x", 10, "a number"},
                    Wrong{"opens <= -1", 10, "a number"}, Wrong{"opens <= 1 2", 12, "nothing"},
                    Wrong{"max 2s", 5, "\"blocked\""}, Wrong{"max blocked 2", 13, "2s"},
                    Wrong{"max blocked 2d", 13, "a time"}, Wrong{"no findings", 4, "\"finding\""},
                    Wrong{"P2 no finding", 4, "unknown"}, Wrong{"exits 256", 7, "status"},
                    Wrong{"killed by TERM", 11, "SIGTERM"}, Wrong{"P0 exits 0", 1, "unknown"},
                    Wrong{"opens <= 1\x07", 10, "number"}));

class Judged : public testing::Test {
 protected:
  std::vector<AssertionFailure> judge(std::string_view text, const Program& program = {},
                                      const std::vector<model::FindingRecord>& findings = {}) {
    const auto parsed = parse_assertion(text);
    if (!parsed) {
      ADD_FAILURE() << text << ": " << parsed.error().what;
      return {};
    }
    const auto events = events_of({}, program);
    const auto run = canonical(events, findings, {});
    return *check_assertions({*parsed}, model::EventList{events}, findings, run.roles,
                             test::EventScript::kStart);
  }
  void holds(std::string_view text, const Program& program = {}) {
    const auto failures = judge(text, program);
    EXPECT_TRUE(failures.empty()) << text << ": " << failures[0].seen;
  }
  void fails(std::string_view text, const char* seen, const char* role, const char* call,
             const Program& program = {}) {
    const auto failures = judge(text, program);
    ASSERT_EQ(failures.size(), 1U) << text;
    EXPECT_EQ(failures[0].seen, seen) << text;
    if (*role == '\0') return;
    ASSERT_TRUE(failures[0].place) << text;
    EXPECT_EQ(failures[0].place->role, role) << text;
    EXPECT_THAT(failures[0].place->call, HasSubstr(call)) << text;
    EXPECT_GT(failures[0].place->at.count(), 0) << text;
  }
};

TEST_F(Judged, ByCounts) {
  holds("never connect");
  holds("opens <= 1");
  holds("opens == 1");
  holds("execs == 2");
  holds("execs != 3");
  holds("forks < 2");
  holds("threads >= 1");
  holds("P2 execs > 0");
}

TEST_F(Judged, SayWhereTheFirstOneTooManyIs) {
  Program connects;
  connects.connects = true;
  fails("never connect", "1 of them", "P1", "connect(5, ", connects);
  fails("opens < 1", "1 of them", "P1.T1", "openat(AT_FDCWD, \"/tmp/tmpk3j2h1\"");
  fails("execs == 3", "2 of them", "P2", "executes /bin/tool");
  fails("execs <= 1", "2 of them", "P2", "executes /bin/tool");
  fails("P2 forks >= 1", "0 of them", "", "");
  fails("forks == 0", "1 of them", "P1", "makes a process");
}

TEST_F(Judged, ByEnds) {
  holds("exits 0");
  holds("P2 exits 0");
  Program failing;
  failing.exit_code = 3;
  fails("P2 exits 0", "exits with status 3", "P2", "exits with status 3", failing);
  holds("P2 exits 3", failing);
  fails("P2 killed by SIGTERM", "exits with status 3", "P2", "", failing);
  fails("P7 exits 0", "there is no P7 in this run", "", "");
  fails("P7 never connect", "there is no P7 in this run", "", "");
}

TEST_F(Judged, ByTheLongestWait) {
  holds("max blocked 2s");
  const auto failures = judge("P1 max blocked 0.5ms");
  ASSERT_EQ(failures.size(), 1U);
  EXPECT_EQ(failures[0].seen, "blocked for 1 ms in one call");
  EXPECT_FALSE(failures[0].show.empty());
}

// Calls that never return: their thread is killed in them, or the trace ends first.
std::vector<AssertionFailure> judged(std::string_view text, const test::EventScript& script) {
  const auto parsed = parse_assertion(text);
  if (!parsed) {
    ADD_FAILURE() << text << ": " << parsed.error().what;
    return {};
  }
  const auto events = script.events();
  const auto run = canonical(events, {}, {});
  return *check_assertions({*parsed}, model::EventList{events}, {}, run.roles,
                           test::EventScript::kStart);
}

TEST(JudgedUnfinished, WaitsCutOffByTheEndOfTheirThreadCount) {
  test::EventScript script;
  script.seen(0, 10, 10, {});
  script.made(1, 10, 10, 11, model::NewTaskKind::kFork);
  script.enter(2, 11, 11, "read", {0, 0x1000, 10});
  script.add(5002, 11, 11, model::TaskExit{true, 9, false});
  script.add(5003, 10, 10, model::TaskExit{false, 0, false});
  const auto failures = judged("P2 max blocked 2s", script);
  ASSERT_EQ(failures.size(), 1U);
  EXPECT_EQ(failures[0].seen, "blocked for 5 s in one call");
  EXPECT_EQ(failures[0].place->role, "P2");
  EXPECT_TRUE(judged("P1 max blocked 2s", script).empty());
  EXPECT_TRUE(judged("P2 max blocked 6s", script).empty());
}

TEST(JudgedUnfinished, CallsOpenAtTheEndOfTheTraceCount) {
  const std::string address{"\x02\0\0\x50\x7f\0\0\x01\0\0\0\0\0\0\0\0", 16};
  test::EventScript script;
  script.seen(0, 10, 10, {});
  script.enter(1000, 10, 10, "connect", {5, 0x1000, 16}, {{0x1000, address}});
  script.made(2000, 10, 20, 21, model::NewTaskKind::kThread);
  script.add(4000, 10, 21, model::TaskExit{false, 0, false});
  auto failures = judged("max blocked 2s", script);
  ASSERT_EQ(failures.size(), 1U);
  EXPECT_EQ(failures[0].seen, "blocked for 3 s in one call");
  EXPECT_EQ(failures[0].place->role, "P1");
  failures = judged("never connect", script);
  ASSERT_EQ(failures.size(), 1U);
  EXPECT_THAT(failures[0].place->call, HasSubstr("connect(5, "));
}

TEST_F(Judged, ByFindings) {
  holds("no finding");
  model::FindingRecord record;
  record.finding.rule = "deadlock";
  record.finding.tid = base::Tid{1002};
  record.finding.headline = "P2 waits for itself";
  record.stalled_since = test::EventScript::at_ms(70);
  const auto failures = judge("no finding", {}, {record});
  ASSERT_EQ(failures.size(), 1U);
  EXPECT_EQ(failures[0].seen, "deadlock (likely)");
  EXPECT_EQ(failures[0].place->role, "P2");
  EXPECT_TRUE(judge("no finding file-lock", {}, {record}).empty());
  EXPECT_EQ(judge("no finding deadlock", {}, {record}).size(), 1U);
}

}  // namespace
}  // namespace stucktrace::compare
