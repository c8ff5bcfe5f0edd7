#include "tracer/compare/canonical.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/compare/program.h"

namespace stucktrace::compare {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(Canonical, ShowsARunByThreadInItsOwnOrder) {
  EXPECT_EQ(to_text(canonical({})), R"(# stucktrace canonical trace 1

P1
  executes /usr/bin/app "app" "/tmp/<temp>/in"
  makes P1:pipe#1
  makes thread P1/T1
  makes process P1.1
  waits P1:pipe#1 read
  polls child P1.1
  writes stdout "child <pid> at <address> took <duration>\n"
  removes /tmp/<temp>

P1/T1
  opens /tmp/<temp> for writing (creates, truncates)

P1 (process)
  reaps P1.1
  exits 0

P1.1
  fd 1 becomes P1:pipe#1
  executes /bin/tool "tool" "-v"
  writes P1:pipe#1 "All done! Goodbye!\n"

P1.1 (process)
  exits 0
)");
}

struct Variation {
  const char* name;
  RunOf run;
};
void PrintTo(const Variation& variation, std::ostream* out) {
  *out << variation.name;
}
class SameProgram : public testing::TestWithParam<Variation> {};

TEST_P(SameProgram, ComparesEqual) {
  EXPECT_EQ(to_text(canonical(GetParam().run)), to_text(canonical({})));
  EXPECT_THAT(diff(canonical({}), canonical(GetParam().run)), IsEmpty());
}

RunOf changed(auto change) {
  RunOf run;
  change(run);
  return run;
}

INSTANTIATE_TEST_SUITE_P(
    Runs, SameProgram,
    testing::Values(
        Variation{"OtherPids", changed([](RunOf& run) { run.first_pid = 31'000; })},
        Variation{"ShortPids", changed([](RunOf& run) { run.first_pid = 7; })},
        Variation{"OtherInodes", changed([](RunOf& run) { run.first_inode = 90'000; })},
        Variation{"OtherAddresses", changed([](RunOf& run) { run.buffer = 0x5555'6666'7000; })},
        Variation{"FasterChild", changed([](RunOf& run) { run.slowness = 0.3; })},
        Variation{"SlowerChild", changed([](RunOf& run) { run.slowness = 50; })},
        Variation{"NoPollTurn", changed([](RunOf& run) { run.poll_turns = 0; })},
        Variation{"ManyPollTurns", changed([](RunOf& run) { run.poll_turns = 97; })},
        Variation{"OneRead", changed([](RunOf& run) { run.reads = {200}; })},
        Variation{"ManyReads", changed([](RunOf& run) { run.reads = std::vector<int>(50, 4); })},
        Variation{"Interrupted", changed([](RunOf& run) { run.signals_interrupt = true; })},
        Variation{"OtherTemporary", changed([](RunOf& run) { run.temporary = "/tmp/x9_zz"; })}),
    [](const auto& tested) { return tested.param.name; });

struct Alteration {
  const char* name;
  Program program;
  const char* role;
  const char* expected;  // a line of the difference, "" none
  const char* got;
};
void PrintTo(const Alteration& alteration, std::ostream* out) {
  *out << alteration.name;
}
class OtherProgram : public testing::TestWithParam<Alteration> {};

TEST_P(OtherProgram, DiffersAtItsPlace) {
  const auto differences = diff(canonical({}), canonical({}, GetParam().program));
  std::vector<std::string> expected;
  std::vector<std::string> got;
  for (const Difference& difference : differences) {
    if (difference.role != GetParam().role) continue;
    expected.insert(expected.end(), difference.expected.begin(), difference.expected.end());
    got.insert(got.end(), difference.got.begin(), difference.got.end());
  }
  const auto wanted = [](const char* line) {
    return *line == '\0' ? std::vector<std::string>{} : std::vector<std::string>{line};
  };
  EXPECT_EQ(expected, wanted(GetParam().expected));
  EXPECT_EQ(got, wanted(GetParam().got));
}

Program altered(auto change) {
  Program program;
  change(program);
  return program;
}

INSTANTIATE_TEST_SUITE_P(
    Programs, OtherProgram,
    testing::Values(
        Alteration{"AnotherExec", altered([](Program& p) { p.runs_more = true; }), "P1.1", "",
                   "executes /bin/more \"more\""},
        Alteration{"ExitCode", altered([](Program& p) { p.exit_code = 3; }), "P1.1 (process)",
                   "exits 0", "exits 3"},
        Alteration{"PipeNoLongerRead", altered([](Program& p) { p.reads_pipe = false; }), "P1",
                   "waits P1:pipe#1 read", ""},
        Alteration{"JoinBeforeRead", altered([](Program& p) { p.joins_first = true; }), "P1",
                   "waits P1:pipe#1 read", "waits P1:pipe#1 read"},
        Alteration{"NewConnect", altered([](Program& p) { p.connects = true; }), "P1", "",
                   "connects to inet 127.0.0.1:80"},
        Alteration{"MissingWait", altered([](Program& p) { p.waits_for_child = false; }), "P1",
                   "polls child P1.1", ""},
        Alteration{"NotReaped", altered([](Program& p) { p.waits_for_child = false; }),
                   "P1 (process)", "reaps P1.1", ""},
        Alteration{"OtherOutput", altered([](Program& p) { p.says = "Failed\n"; }), "P1.1",
                   "writes P1:pipe#1 \"All done! Goodbye!\\n\"", "writes P1:pipe#1 \"Failed\\n\""}),
    [](const auto& tested) { return tested.param.name; });

model::FindingRecord finding(std::vector<int> cycle, std::uint64_t inode) {
  model::FindingRecord record;
  record.finding.rule = "timed-deadlock";
  record.finding.certainty = model::Certainty::kUntil;
  record.finding.tid = base::Tid{cycle.back()};
  for (const int tid : cycle) record.finding.cycle.push_back(base::Tid{tid});
  record.finding.resource = model::ResourceId{model::ResourceKind::kPipe, 0, inode, 0};
  return record;
}

TEST(Canonical, NamesFindingsByRoles) {
  const RunOf one;
  const RunOf two = changed([](RunOf& run) {
    run.first_pid = 500;
    run.first_inode = 60'000;
  });
  const auto first = canonicalise(events_of(one), {finding({1000, 1001, 1002}, 25'003)}, {});
  EXPECT_EQ(first.sections.back().role, "findings");
  EXPECT_THAT(first.sections.back().lines,
              ElementsAre("timed-deadlock (until) P1.1, cycle P1 -> P1/T1 -> P1.1, on P1:pipe#1"));
  // The same cycle told from another thread on, by other numbers.
  auto other = finding({502, 500, 501}, 60'003);
  other.finding.tid = base::Tid{502};
  EXPECT_EQ(canonicalise(events_of(two), {other}, {}), first);

  const auto differences = diff(canonical(one), first);
  ASSERT_EQ(differences.size(), 1U);
  EXPECT_TRUE(differences[0].section_added);
  EXPECT_THAT(to_text(differences), HasSubstr("findings: not expected\n  + timed-deadlock"));
}

TEST(Canonical, TextReadsBack) {
  const auto trace = canonical({});
  const auto again = parse(to_text(trace));
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_EQ(*again, trace);
  EXPECT_TRUE(is_canonical_text(to_text(trace)));
  EXPECT_FALSE(is_canonical_text("\x93STKTRC\n"));
  EXPECT_FALSE(parse("something else"));
  const auto broken = parse("# stucktrace canonical trace 1\n  a line of no section\n");
  ASSERT_FALSE(broken);
  EXPECT_THAT(broken.error().message(), HasSubstr("line 2"));
}

TEST(Canonical, TakesRulesOfTheUser) {
  auto rule = substitution("Good(bye)", "<$1>");
  ASSERT_TRUE(rule);
  Options options;
  options.normalise.push_back(*rule);
  EXPECT_THAT(to_text(canonicalise(events_of({}), {}, options)), HasSubstr("All done! <bye>!"));
  const auto wrong = substitution("(", "");
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().kind, base::ErrorKind::kUsage);
}

TEST(Canonical, AnEmptyTraceHasNoSections) {
  EXPECT_THAT(canonicalise({}, {}, {}).sections, IsEmpty());
}

}  // namespace
}  // namespace stucktrace::compare
