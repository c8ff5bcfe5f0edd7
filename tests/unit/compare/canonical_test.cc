#include "tracer/compare/canonical.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/compare/program.h"
#include "tracer/compare/match.h"
#include "tracer/compare/task_follower.h"

namespace stucktrace::compare {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(Canonical, ShowsWhatProcessesDid) {
  EXPECT_EQ(to_text(canonical({}, {}, Level::kStructure)), R"(P1 app
  waits for P2
  reads a pipe from P2
  exits 0

P2 tool, child of P1
  writes a pipe to P1
  exits 0
)");
}

TEST(Canonical, ShowsWhereEffectsGo) {
  EXPECT_EQ(to_text(canonical({}, {}, Level::kEffects)), R"(P1 app
  waits for P2
  reads a pipe from P2
  opens "/tmp/<temp>" for writing (creates, truncates)
  removes "/tmp/<temp>"
  exits 0

P2 tool, child of P1
  stdout is pipe#1
  inherits pipe#1 for reading
  inherits pipe#1 for writing
  writes a pipe to P1
  exits 0

pipe#1
  made by P1
  written by P2
  read by P1
  carries ~20 bytes
)");
}

TEST(Canonical, ShowsCallsByThreadInTheirOwnOrder) {
  EXPECT_EQ(to_text(canonical({})), R"(P1 app
  waits for P2
  reads a pipe from P2
  opens "/tmp/<temp>" for writing (creates, truncates)
  removes "/tmp/<temp>"
  exits 0

P1 calls
  executes "/usr/bin/app" "app" "/tmp/<temp>/in"
  makes pipe#1
  makes thread P1.T1
  makes process P2
  waits pipe#1 read
  polls child P2
  writes stdout "child <pid> at <address> took <duration>\n"
  removes "/tmp/<temp>"

P1.T1 calls
  opens "/tmp/<temp>" for writing (creates, truncates)

P2 tool, child of P1
  stdout is pipe#1
  inherits pipe#1 for reading
  inherits pipe#1 for writing
  writes a pipe to P1
  exits 0

P2 calls
  fd 1 becomes pipe#1
  executes "/bin/tool" "tool" "-v"
  writes pipe#1 "All done! Goodbye!\n"

pipe#1
  made by P1
  written by P2
  read by P1
  carries ~20 bytes
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
  for (const Level level : {Level::kStructure, Level::kEffects}) {
    EXPECT_EQ(to_text(canonical(GetParam().run, {}, level)), to_text(canonical({}, {}, level)));
  }
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
  Level level;
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
  const auto baseline = canonical({}, {}, GetParam().level);
  const auto current = canonical({}, GetParam().program, GetParam().level);
  const auto differences = diff(baseline, renamed(current, match(baseline, current), baseline));
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
        Alteration{"AnotherExec", Level::kStructure,
                   altered([](Program& p) { p.runs_more = true; }), "P2", "tool, child of P1",
                   "tool > more, child of P1"},
        Alteration{"AnotherExecInOrder", Level::kCalls,
                   altered([](Program& p) { p.runs_more = true; }), "P2 calls", "",
                   "executes \"/bin/more\" \"more\""},
        Alteration{"ExitCode", Level::kStructure, altered([](Program& p) { p.exit_code = 3; }),
                   "P2", "exits 0", "exits 3"},
        Alteration{"PipeNoLongerRead", Level::kStructure,
                   altered([](Program& p) { p.reads_pipe = false; }), "P2", "writes a pipe to P1",
                   "writes a pipe that nobody reads"},
        Alteration{"PipeNoLongerReadEffect", Level::kEffects,
                   altered([](Program& p) { p.reads_pipe = false; }), "pipe#1", "read by P1",
                   "read by nobody"},
        Alteration{"JoinBeforeRead", Level::kCalls,
                   altered([](Program& p) { p.joins_first = true; }), "P1 calls",
                   "waits pipe#1 read", "waits pipe#1 read"},
        Alteration{"NewConnect", Level::kEffects, altered([](Program& p) { p.connects = true; }),
                   "P1", "", "connects to inet 127.0.0.1:80"},
        Alteration{"MissingWait", Level::kStructure,
                   altered([](Program& p) { p.waits_for_child = false; }), "P1", "waits for P2",
                   ""},
        Alteration{"OtherAmount", Level::kEffects,
                   altered([](Program& p) { p.says = std::string(500, 'x'); }), "pipe#1",
                   "carries ~20 bytes", "carries ~500 bytes"},
        Alteration{"OtherOutput", Level::kCalls, altered([](Program& p) { p.says = "Failed\n"; }),
                   "P2 calls", "writes pipe#1 \"All done! Goodbye!\\n\"",
                   "writes pipe#1 \"Failed\\n\""}),
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
  const auto first = canonical(events_of(one), {finding({1000, 1001, 1002}, 25'003)}, {}).trace;
  EXPECT_EQ(first.sections.back().role, "findings");
  EXPECT_THAT(first.sections.back().lines,
              ElementsAre("timed-deadlock of P2, cycle P1 -> P1.T1 -> P2, on pipe#1"));
  // The same cycle told from another thread on, by other numbers.
  auto other = finding({502, 500, 501}, 60'003);
  other.finding.tid = base::Tid{502};
  EXPECT_EQ(canonical(events_of(two), {other}, {}).trace, first);

  const auto differences = diff(canonical(one, {}, Level::kEffects), first);
  ASSERT_EQ(differences.size(), 1U);
  EXPECT_TRUE(differences[0].section_added);
  EXPECT_THAT(to_text(differences), HasSubstr("findings: not expected\n  + timed-deadlock"));
}

TEST(Canonical, TakesRulesOfTheUser) {
  auto rule = substitution("Good(bye)", "<$1>");
  ASSERT_TRUE(rule);
  const Options options{.normalise = {*rule}, .level = Level::kCalls, .seen = {}};
  EXPECT_THAT(to_text(canonical(events_of({}), {}, options).trace), HasSubstr("All done! <bye>!"));
  const auto wrong = substitution("(", "");
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().kind, base::ErrorKind::kUsage);
}

TEST(Canonical, AnEmptyTraceHasNoSections) {
  EXPECT_THAT(canonical(std::vector<model::Event>{}, {}, {}).trace.sections, IsEmpty());
}

TEST(Canonical, SaysWhoseEventEachOneIs) {
  const auto events = events_of({});
  const auto run = canonical(events, {}, {});
  TaskFollower tasks;
  for (const model::Event& event : events) {
    const int tid = event.tid.value();
    const std::string* role = run.roles.role(tasks.observe(event).task);
    ASSERT_NE(role, nullptr);
    EXPECT_EQ(*role, tid == 1000 ? "P1" : tid == 1001 ? "P1.T1" : "P2");
  }
}

}  // namespace
}  // namespace stucktrace::compare
