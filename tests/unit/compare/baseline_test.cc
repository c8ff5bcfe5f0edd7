#include "tracer/compare/baseline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/compare/program.h"
#include "tracer/compare/path_text.h"

namespace stucktrace::compare {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::string_view kText = R"(# stucktrace baseline 1
level effects
seen all
normalise s/build-[0-9]+/build/

# for people
assert
  never connect
  # why
  P2 exits 0

P1 env > sh
  waits for P2
  exits 0

P2 sh (forked), child of P1
  exits 0

pipe#1
  made by P1

findings
  deadlock of P1
)";

TEST(BaselineText, ReadsBack) {
  const auto baseline = parse_baseline(kText);
  ASSERT_TRUE(baseline) << baseline.error().message();
  EXPECT_EQ(baseline->rules.at(0).text, "s/build-[0-9]+/build/");
  EXPECT_EQ(baseline->assertions.size(), 2U);
  EXPECT_THAT(baseline->assertion_lines, ElementsAre(8, 10));
  EXPECT_EQ(baseline->trace.sections.size(), 4U);
  EXPECT_EQ(baseline->trace.sections[1].title, "sh (forked)");
  EXPECT_EQ(baseline->trace.sections[1].parent, "P1");
  EXPECT_EQ(baseline->trace.sections[1].at, 16U);
  const auto again = parse_baseline(to_text(*baseline));
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_EQ(again->trace, baseline->trace);
  EXPECT_EQ(to_text(*again), to_text(*baseline));
}

TEST(BaselineText, OfEveryLevelReadsBack) {
  for (const Level level : {Level::kStructure, Level::kEffects, Level::kCalls}) {
    Baseline baseline;
    baseline.trace = canonical({}, {}, level);
    const auto again = parse_baseline(to_text(baseline));
    ASSERT_TRUE(again) << again.error().message();
    EXPECT_EQ(again->trace, baseline.trace);
    EXPECT_TRUE(is_baseline(to_text(baseline)));
  }
  EXPECT_FALSE(is_baseline("\x93STKTRC\n"));
}

struct Broken {
  const char* name;
  const char* text;  // after the title
  const char* message;
};
void PrintTo(const Broken& broken, std::ostream* out) {
  *out << broken.name;
}
class BrokenBaseline : public testing::TestWithParam<Broken> {};

TEST_P(BrokenBaseline, NamesLineAndColumn) {
  const auto baseline = parse_baseline(std::string{"# stucktrace baseline 1\n"} + GetParam().text);
  ASSERT_FALSE(baseline);
  EXPECT_THAT(baseline.error().message(), HasSubstr(GetParam().message));
  EXPECT_EQ(baseline.error().message().find('\n'), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(
    Texts, BrokenBaseline,
    testing::Values(
        Broken{"NoLevel", "seen all\n", "line 2, column 1: expected \"level\""},
        Broken{"Level", "level deep\n", "line 2, column 7: expected structure, effects or calls"},
        Broken{"Seen", "level calls\nseen some\n", "line 3, column 6: expected all or filtered"},
        Broken{"More", "level calls now\n", "line 2, column 13: nothing follows here"},
        Broken{"Rule", "level calls\nnormalise s/a/b\n", "line 3, column 16: no third /"},
        Broken{"Pattern", "level calls\nnormalise s/(/b/\n", "line 3, column 13: \"(\" is not"},
        Broken{"Assertion", "level calls\nassert\n  opens <= many\n",
               "line 4, column 12: expected a number"},
        Broken{"Call", "level calls\nassert\n  never conect\n",
               "line 4, column 9: unknown system call 'conect'"},
        Broken{"Section", "level calls\nprocess 1\n", "line 3, column 1: expected a section"},
        Broken{"NoProgram", "level calls\nP1\n", "line 3, column 3: expected the process's"},
        Broken{"Parent", "level calls\nP1 sh, child of us\n", "line 3, column 17: expected a proc"},
        Broken{"Twice", "level calls\nP1 sh\nP1 sh\n", "line 4, column 1: P1 is there twice"},
        Broken{"Control", "level calls\nP1 sh\n  a\x1b[31m\n",
               "line 4, column 4: there are no con"},
        Broken{"ControlInHeading", "level calls\nP1 s\th\n", "line 3, column 5: there are no con"},
        Broken{"HugeProcess", "level calls\nP1000000000 sh\n", "line 3, column 1: expected a sec"},
        Broken{"HugeThread", "level calls\nP1.T1000000000 calls\n", "line 3, column 1: expected"},
        Broken{"HugePipe", "level calls\npipe#18446744073709551615\n", "line 3, column 1: exp"},
        Broken{"NoSection", "level calls\n  exits 0\n", "line 3, column 3: there is no section"}),
    [](const auto& tested) { return tested.param.name; });

TEST(BaselineText, OfARootThatIsCalledCallsReadsBack) {
  Baseline baseline;
  for (const char* title : {"calls", "a, child of P1", "a , child of nobody"}) {
    baseline.trace.sections = {{"P1", title, "", {"exits 0"}, 0}, {"P1 calls", {}, {}, {"x"}, 0}};
    const auto again = parse_baseline(to_text(baseline));
    ASSERT_TRUE(again) << again.error().message();
    EXPECT_EQ(again->trace, baseline.trace);
  }
}

// Whoever wrote it started the cycle where he liked.
TEST(BaselineText, ACycleStartsWithTheSmallestName) {
  const auto baseline = parse_baseline(
      "# stucktrace baseline 1\nlevel calls\nfindings\n  x of P1, cycle P10 -> P2 -> P9, on "
      "futex\n");
  ASSERT_TRUE(baseline) << baseline.error().message();
  EXPECT_THAT(baseline->trace.sections.at(0).lines,
              ElementsAre("x of P1, cycle P2 -> P9 -> P10, on futex"));
}

TEST(BaselineText, HasNoControlCharacters) {
  Baseline baseline;
  baseline.trace.sections = {{"P1", "sh", "", {"opens \"a\nP2 sh\r\x7f\""}, 0}};
  const auto again = parse_baseline(to_text(baseline));
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_THAT(again->trace.sections.at(0).lines, ElementsAre("opens \"a\\x0aP2 sh\\x0d\\x7f\""));
}

TEST(BaselineText, OfAnotherVersionSaysSo) {
  const auto other = parse_baseline("# stucktrace baseline 7\nlevel calls\n");
  ASSERT_FALSE(other);
  EXPECT_THAT(other.error().message(), HasSubstr("line 1, column 23: version 7"));
  EXPECT_FALSE(parse_baseline(""));
  EXPECT_FALSE(parse_baseline("something else"));
}

// ---- rules -------------------------------------------------------------------------------------

std::string applied(std::string_view rule, std::string_view text) {
  const auto parsed = parse_rule(rule);
  if (!parsed) return parsed.error().what;
  return Normaliser{{}, {parsed->substitution}}(text);
}

TEST(RuleText, IsThatOfSed) {
  EXPECT_EQ(applied("s/ab/x/", "abcab"), "xcx");
  EXPECT_EQ(applied("s/ab/x/g", "abcab"), "xcx");
  EXPECT_EQ(applied(R"(s!/home/(\w+)!~\1!)", "/home/me/a"), "~me/a");
  EXPECT_EQ(applied(R"(s/a\/b/&$1/)", "a/b"), "a/b$1");
  EXPECT_EQ(applied(R"(s,\d+,,)", "v12"), "v");
  EXPECT_EQ(applied(R"(s/v(\d)x/\12/)", "v7x"), "72");
  EXPECT_EQ(applied(R"(s/(\d)x/\2/)", ""), "the pattern has no group 2");
  EXPECT_EQ(applied(R"(s/a/\1/)", ""), "the pattern has no group 1");
  EXPECT_EQ(applied("s/a/b/i", ""), "nothing follows a rule");
  EXPECT_EQ(applied("y/a/b/", ""), "a rule reads s/PATTERN/TEXT/");
  EXPECT_EQ(applied("s//b/", ""), "the pattern is empty");
}

// ---- paths and programs ------------------------------------------------------------------------

struct Name {
  const char* raw;
  const char* expected;
};
class Paths : public testing::TestWithParam<Name> {};

TEST_P(Paths, HaveNoMadeUpNames) {
  EXPECT_EQ(path_text(GetParam().raw, Normaliser{{}, {}}), GetParam().expected);
}

INSTANTIATE_TEST_SUITE_P(
    Names, Paths,
    testing::Values(Name{"/home/me/out.txt", "/home/me/out.txt"}, Name{"out/", "out/"},
                    Name{"/", "/"}, Name{"/tmp/abc/x", "/tmp/<temp>/x"},
                    Name{"obj/ccQ8vJ1b.o", "obj/cc<temp>.o"}, Name{"ccache/file", "ccache/file"},
                    Name{"a/tmpx1y_2z3a", "a/tmp<temp>"},
                    Name{".git/objects/pack/tmp_pack_Xy12zQ", ".git/objects/pack/tmp_pack_<temp>"},
                    Name{"objects/12/3456789012abcdef56789012345678901234567",
                         "objects/<hash>/<hash>"},
                    Name{"pack-0123456789abcdef0123.idx", "pack-<hash>.idx"},
                    Name{"report.Xy9kLm", "report.<temp>"}, Name{"report.backup", "report.backup"},
                    Name{"copy/.git/tEWgd14", "copy/.git/t<temp>"},
                    Name{"template.html", "template.html"}, Name{"config.lock", "config.lock"}));

TEST(Programs, HaveNoVersions) {
  const auto name = [](std::string_view exe) { return program_name(exe, Normaliser{{}, {}}); };
  EXPECT_EQ(name("/usr/bin/python3.11"), "python3");
  EXPECT_EQ(name("/usr/bin/x86_64-linux-gnu-gcc-12"), "gcc");
  EXPECT_EQ(name("/bin/bzip2"), "bzip2");
  EXPECT_EQ(name("cc1"), "cc1");
  EXPECT_EQ(name("/tmp/x7.2/prog"), "prog");
  EXPECT_EQ(name(""), "");
}

TEST(Paths, OfTheRuntimeAreItsOwn) {
  for (const char* path : {"/dev/null", "/proc/self/maps", "a/__pycache__/b.pyc", "/dev/pts/1"}) {
    EXPECT_TRUE(is_runtime_path(path)) << path;
  }
  for (const char* path : {"/dev/shm/sem.x", "/home/dev/null", "proc/x", "", "a.py"}) {
    EXPECT_FALSE(is_runtime_path(path)) << path;
  }
}

}  // namespace
}  // namespace stucktrace::compare
