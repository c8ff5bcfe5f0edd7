#include "tracer/compare/diff.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tracer/compare/match.h"

namespace stucktrace::compare {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Section = CanonicalTrace::Section;

Section calls(std::string role, std::vector<std::string> lines, std::size_t at = 0) {
  return {std::move(role), {}, {}, std::move(lines), at};
}
Section process(std::string role, std::string title, std::string parent,
                std::vector<std::string> lines) {
  return {std::move(role), std::move(title), std::move(parent), std::move(lines), 0};
}
CanonicalTrace trace(std::vector<Section> sections) {
  return {Level::kEffects, Seen::kAll, std::move(sections)};
}
std::vector<Difference> compared(const CanonicalTrace& baseline, const CanonicalTrace& current) {
  return diff(baseline, renamed(current, match(baseline, current), baseline));
}

TEST(Diff, OfEqualTracesIsEmpty) {
  const auto one = trace({calls("P1 calls", {"a", "b"}), calls("findings", {"c"})});
  EXPECT_THAT(diff(one, one), IsEmpty());
  EXPECT_EQ(to_text(diff(one, one)), "");
}

TEST(Diff, TellsWhoWhereAndWhat) {
  const auto baseline =
      trace({calls("P1 calls", {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"}, 20)});
  const auto current =
      trace({calls("P1 calls", {"a", "b", "c", "d", "X", "f", "g", "h", "j", "k"})});
  const auto differences = diff(baseline, current);
  ASSERT_EQ(differences.size(), 3U);
  EXPECT_EQ(differences[0].line, 25U);
  EXPECT_EQ(to_text(differences), R"(P1 calls differs after "d" (line 25)
    b
    c
    d
  - e
  + X
    f
    g
    h

P1 calls lacks something after "h" (line 29)
    f
    g
    h
  - i
    j

P1 calls has something more after "j" (line 31)
    j
  + k
)");
}

TEST(Diff, OfWhatAProcessDidHasNoOrder) {
  const auto baseline = trace({process("P1", "sh", "", {"a", "b", "c"})});
  EXPECT_THAT(diff(baseline, trace({process("P1", "sh", "", {"c", "a", "b"})})), IsEmpty());
  EXPECT_EQ(to_text(diff(baseline, trace({process("P1", "sh", "", {"a", "c", "x"})}))),
            "P1 (sh) differs (line 2)\n  - b\n  + x\n");
}

TEST(Diff, CountsEqualLines) {
  const auto baseline = trace({process("P1", "sh", "", {"a", "a", "b"})});
  EXPECT_EQ(to_text(diff(baseline, trace({process("P1", "sh", "", {"b", "a", "b"})}))),
            "P1 (sh) differs (line 2)\n  - a\n  + b\n");
}

TEST(Diff, TellsWholeSections) {
  const auto baseline = trace({calls("P1 calls", {"a"}), calls("P1.T1 calls", {"b"})});
  const auto current = trace({calls("P1 calls", {"a"}), calls("P1.T2 calls", {"c"})});
  const auto differences = diff(baseline, current);
  ASSERT_EQ(differences.size(), 2U);
  EXPECT_TRUE(differences[0].section_missing);
  EXPECT_TRUE(differences[1].section_added);
  EXPECT_EQ(to_text(differences),
            "P1.T1 calls: expected, but not in this run\n  - b\n\n"
            "P1.T2 calls: not expected\n  + c\n");
}

TEST(Diff, OfLargeDifferentTracesStaysSmallAndShort) {
  auto baseline = trace({calls("P1 calls", {})});
  auto current = baseline;
  for (int i = 0; i < 20'000; ++i) {
    baseline.sections[0].lines.push_back(fmt::format("old {}", i));
    current.sections[0].lines.push_back(fmt::format("new {}", i));
  }
  const auto differences = diff(baseline, current);
  ASSERT_EQ(differences.size(), 1U);
  EXPECT_EQ(differences[0].expected.size(), 20'000U);
  EXPECT_LT(to_text(differences).size(), 2'000U);
  EXPECT_THAT(to_text(differences), HasSubstr("... 19980 more lines"));
}

// ---- who is who --------------------------------------------------------------------------------

CanonicalTrace pipeline() {
  return trace({process("P1", "sh", "", {"waits for P2", "waits for P3", "exits 0"}),
                process("P2", "cat", "P1", {"stdout is pipe#1", "writes a pipe to P3", "exits 0"}),
                process("P3", "wc", "P1", {"stdin is pipe#1", "reads a pipe from P2", "exits 0"}),
                {"pipe#1", {}, {}, {"made by P1", "written by P2", "read by P3"}, 0}});
}

TEST(Match, AProcessMoreRenamesNoOther) {
  // A new first child shifts all numbers.
  const auto current =
      trace({process("P1", "sh", "", {"waits for P2", "waits for P3", "waits for P4", "exits 0"}),
             process("P2", "awk", "P1", {"exits 0"}),
             process("P3", "cat", "P1", {"stdout is pipe#2", "writes a pipe to P4", "exits 0"}),
             process("P4", "wc", "P1", {"stdin is pipe#2", "reads a pipe from P3", "exits 0"}),
             {"pipe#1", {}, {}, {"made by P1", "written by P2", "read by nobody"}, 0},
             {"pipe#2", {}, {}, {"made by P1", "written by P3", "read by P4"}, 0}});
  const auto names = match(pipeline(), current);
  EXPECT_EQ(names.at("P3"), "P2");
  EXPECT_EQ(names.at("P4"), "P3");
  EXPECT_EQ(names.at("P2"), "P4");
  EXPECT_EQ(names.at("pipe#2"), "pipe#1");
  EXPECT_EQ(names.at("pipe#1"), "pipe#2");
  EXPECT_EQ(to_text(compared(pipeline(), current)),
            "P1 (sh) has something more\n  + waits for P4\n\n"
            "P4 (awk): not expected\n  + exits 0\n\n"
            "pipe#2: not expected\n  + made by P1\n  + written by P4\n  + read by nobody\n");
}

TEST(Match, ChildrenGoByWhatTheyDid) {
  const auto two = [](const char* first, const char* second) {
    return trace({process("P1", "make", "", {"exits 0"}),
                  process("P2", "gcc", "P1", {first, "exits 0"}),
                  process("P3", "gcc", "P1", {second, "exits 0"})});
  };
  EXPECT_THAT(compared(two("opens \"a\"", "opens \"b\""), two("opens \"b\"", "opens \"a\"")),
              IsEmpty());
  const auto differences =
      compared(two("opens \"a\"", "opens \"b\""), two("opens \"b\"", "opens \"c\""));
  ASSERT_EQ(differences.size(), 1U);
  EXPECT_THAT(differences[0].expected, ElementsAre("opens \"a\""));
  EXPECT_THAT(differences[0].got, ElementsAre("opens \"c\""));
}

TEST(Match, OneProgramInPlaceOfAnotherIsTold) {
  const auto other =
      trace({process("P1", "sh", "", {"exits 0"}), process("P2", "tac", "P1", {"exits 0"})});
  const auto baseline =
      trace({process("P1", "sh", "", {"exits 0"}), process("P2", "cat", "P1", {"exits 0"})});
  EXPECT_EQ(to_text(compared(baseline, other)),
            "P2 (cat) differs\n  - cat, child of P1\n  + tac, child of P1\n");
}

TEST(Match, AmountsHoldByTheirOrder) {
  const auto carried = [](const char* amount) {
    return trace(
        {process("P1", "sh", "", {"exits 0"}), {"pipe#1", {}, {}, {"made by P1", amount}, 0}});
  };
  EXPECT_THAT(compared(carried("carries ~9000 bytes"), carried("carries ~20000 bytes")), IsEmpty());
  EXPECT_THAT(compared(carried("carries ~2 bytes"), carried("carries ~30 bytes")), IsEmpty());
  EXPECT_EQ(compared(carried("carries ~9000 bytes"), carried("carries ~90000 bytes")).size(), 1U);
  EXPECT_EQ(compared(carried("carries ~9000 bytes"), carried("carries nothing")).size(), 1U);
}

TEST(Match, LeavesQuotedTextsAlone) {
  const Renaming names{{"P2", "P5"}, {"pipe#1", "pipe#7"}};
  EXPECT_EQ(renamed("P2.T1 opens \"P2 pipe#1 \\\" P2\" P2, pipe#1 xP2 P22", names),
            "P5.T1 opens \"P2 pipe#1 \\\" P2\" P5, pipe#7 xP2 P22");
}

TEST(Match, ANameEndsWhereItsWordDoes) {
  const Renaming names{{"P2", "P5"}, {"pipe#1", "pipe#7"}};
  EXPECT_EQ(renamed("P2x pipe#1a P2_1 P2: pipe#1", names), "P2x pipe#1a P2_1 P5: pipe#7");
}

// Names in one line would be in the order of names that are given up.
TEST(Match, OrderOfNamesDoesNotCount) {
  const auto run = [](const char* cat, const char* tac, bool swapped) {
    auto made = trace({process("P1", "sh", "", {"exits 0"})});
    auto first = process(swapped ? tac : cat, swapped ? "tac" : "cat", "P1", {"exits 0"});
    auto second = process(swapped ? cat : tac, swapped ? "cat" : "tac", "P1", {"exits 0"});
    made.sections.push_back(first);
    made.sections.push_back(second);
    made.sections.push_back({"pipe#1", {}, {}, {"made by P1", "read by P2", "read by P3"}, 0});
    made.sections.push_back(
        {"findings",
         {},
         {},
         {swapped ? std::string{"deadlock of P1, cycle P1 -> P2 -> P3, on futex"}
                  : "deadlock of P1, cycle P1 -> P3 -> P2, on futex"},
         0});
    return made;
  };
  EXPECT_THAT(compared(run("P2", "P3", false), run("P3", "P2", true)), IsEmpty());
  // Where the one that stands first gets a higher number.
  auto baseline = trace({process("P1", "a", "", {}),
                         process("P2", "b", "", {}),
                         {"findings", {}, {}, {"deadlock of P1, cycle P1 -> P2"}, 0}});
  auto current = trace({process("P1", "b", "", {}),
                        process("P2", "a", "", {}),
                        {"findings", {}, {}, {"deadlock of P2, cycle P1 -> P2"}, 0}});
  EXPECT_THAT(compared(baseline, current), IsEmpty());
}

TEST(Match, NewChannelsGetFreeNumbers) {
  auto baseline = pipeline();
  baseline.sections.back().role = "pipe#7";
  auto current = pipeline();
  current.sections.push_back({"pipe#2", {}, {}, {"made by P3"}, 0});
  const auto names = match(baseline, current);
  EXPECT_EQ(names.at("pipe#1"), "pipe#7");
  EXPECT_EQ(names.at("pipe#2"), "pipe#8");
  const auto empty = trace({{"pipe#1", {}, {}, {}, 0}});
  EXPECT_THAT(compared(empty, empty), IsEmpty());
}

TEST(Match, PutsSectionsInOrderUnderTheirNewNames) {
  const auto current = trace({process("P1", "sh", "", {}), process("P2", "awk", "P1", {}),
                              calls("P2 calls", {"x"}), process("P3", "cat", "P1", {"a"}),
                              process("P4", "wc", "P1", {"b"}), calls("findings", {"f"})});
  const auto out = renamed(current, match(pipeline(), current), pipeline());
  std::vector<std::string> roles;
  for (const auto& section : out.sections) roles.push_back(section.role);
  EXPECT_THAT(roles, ElementsAre("P1", "P2", "P3", "P4", "P4 calls", "findings"));
}

// Bounded, whatever was run: minutes if anything here takes the square.
TEST(Match, OfManyIsQuick) {
  CanonicalTrace baseline = trace({process("P1", "sh", "", {})});
  CanonicalTrace current = baseline;
  for (int i = 2; i < 10'000; ++i) {
    const std::string role = fmt::format("P{}", i);
    baseline.sections.push_back(process(role, "sh", "P1", {fmt::format("opens \"{}\"", i)}));
    current.sections.push_back(process(role, "sh", "P1", {fmt::format("opens \"x{}\"", i)}));
    baseline.sections[0].lines.push_back("waits for " + role);
  }
  for (int i = 1; i < 10'000; ++i) {
    Section channel{fmt::format("pipe#{}", i), {}, {}, {fmt::format("made by P{}", i)}, 0};
    baseline.sections.push_back(channel);
    channel.lines.emplace_back("read by nobody");
    current.sections.push_back(channel);
  }
  for (int i = 0; i < 50'000; ++i) {
    current.sections[0].lines.push_back(fmt::format("opens \"{}\" for writing", 100'000 - i));
    baseline.sections[0].lines.push_back(fmt::format("opens \"{}\" for writing", i));
  }
  EXPECT_FALSE(compared(baseline, current).empty());
}

TEST(Match, SurvivesNonsense) {
  const auto odd = trace({process("P1", "a", "P9", {}), process("P2", "b", "P2", {}),
                          process("P3", "c", "P4", {}), process("P4", "d", "P3", {})});
  EXPECT_THAT(compared(odd, odd), IsEmpty());
  EXPECT_FALSE(compared(odd, pipeline()).empty());
  EXPECT_FALSE(compared(pipeline(), odd).empty());
}

}  // namespace
}  // namespace stucktrace::compare
