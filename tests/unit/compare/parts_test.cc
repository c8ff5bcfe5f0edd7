#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/event_script.h"
#include "tracer/compare/normalise.h"
#include "tracer/compare/roles.h"
#include "tracer/compare/thread_lines.h"

namespace stucktrace::compare {
namespace {

using model::NewTaskKind;
using test::EventScript;

// ---- texts
// ---------------------------------------------------------------------------------------

struct Text {
  const char* raw;
  const char* expected;
};
class Normalising : public testing::TestWithParam<Text> {};

TEST_P(Normalising, TakesOutWhatIsOfOneRunOnly) {
  const Normaliser normalise{{4711, 12}, {}};
  EXPECT_EQ(normalise(GetParam().raw), GetParam().expected);
}

INSTANTIATE_TEST_SUITE_P(
    Texts, Normalising,
    testing::Values(Text{"plain text", "plain text"}, Text{"", ""}, Text{"line\n", "line\\n"},
                    Text{"\x1b[31mred", "\\x1b[31mred"},
                    Text{"object at 0x7f12ab34", "object at <address>"},
                    Text{"mask 0xff", "mask 0xff"}, Text{"0xdeadbeefg", "<address>g"},
                    Text{"worker 4711 ready", "worker <pid> ready"},
                    Text{"listener-4711-0", "listener-<pid>-0"},
                    // A short number is a task only by its word.
                    Text{"12 items", "12 items"}, Text{"pid 12", "pid <pid>"},
                    Text{"PID=7,", "PID=<pid>,"}, Text{"[tid: 99]", "[tid: <pid>]"},
                    Text{"/proc/12/stat", "/proc/<pid>/stat"}, Text{"4712 bytes", "4712 bytes"},
                    Text{"x4711", "x4711"}, Text{"4711x", "4711x"},
                    Text{"/tmp/tmpab_12/out.txt", "/tmp/<temp>/out.txt"},
                    Text{"open \"/tmp/tmp.x7Yz\"", "open \"/tmp/<temp>\""},
                    Text{"/dev/shm/psm_1234 and /var/tmp/a", "/dev/shm/<temp> and /var/tmp/<temp>"},
                    Text{"/tmp/", "/tmp/"}, Text{"/home/me/tmp/a", "/home/me/tmp/a"},
                    Text{"took 4.9 s", "took <duration>"}, Text{"in 12ms.", "in <duration>."},
                    Text{"3 min 5 s", "<duration> <duration>"}, Text{"5 sheep", "5 sheep"},
                    Text{"2024-11-23T09:15:02.123Z", "<date> <time>"},
                    Text{"2024-11-23 09:15:02.123 start", "<date> <time> start"},
                    Text{"ratio 3:1", "ratio 3:1"}, Text{"version 1.2.3", "version 1.2.3"},
                    Text{"id 139872398423120", "id <number>"}, Text{"200000", "200000"}));

TEST(Normaliser, AppliesTheUsersRulesFirst) {
  auto one = substitution("session-[a-z0-9]+", "session-<id>");
  ASSERT_TRUE(one);
  const Normaliser normalise{{}, {*one}};
  EXPECT_EQ(normalise("open session-4f9a at 0x12345"), "open session-<id> at <address>");
}

TEST(Normaliser, IsBounded) {
  auto grows = substitution("x", std::string(1'000, 'y'));
  auto slow = substitution("(x+x+)+z", "");
  ASSERT_TRUE(grows && slow);
  EXPECT_LE(Normaliser({}, {*grows, *grows})(std::string(100'000, 'x')).size(),
            Normaliser::kLongest + 3);
  // Backtracking would not come to an end here.
  EXPECT_LE(Normaliser({}, {*slow})(std::string(100'000, 'x')).size(), Normaliser::kLongest + 3);
  EXPECT_EQ(Normaliser({}, {*slow})("a xxz"), "a ");
  EXPECT_LE(Normaliser({}, {})(std::string(100'000, '\x01')).size(), Normaliser::kLongest + 3);
}

// Escapes make a text longer, rules make it longer still: each rule gets the same bounded text.
TEST(Normaliser, CutsTheTextForEachRule) {
  auto whole = substitution("^.{1001}", "too long");
  auto doubles = substitution("^.", std::string(1'500, 'y'));
  ASSERT_TRUE(whole && doubles);
  EXPECT_FALSE(Normaliser({}, {*whole})(std::string(1'000, '\x01')).starts_with("too long"));
  EXPECT_FALSE(Normaliser({}, {*doubles, *whole})("x").starts_with("too long"));
}

TEST(Normaliser, TakesNoPatternThatCouldRunForEver) {
  for (const char* pattern : {"(a)\\1", "x{3000}", "((x{20}){20}){20}", "(?:x{50}){50,}",
                              "(?=(?!x))y", "(?=.*x)y", "(?!(?:a|b)+)c", "[[:digit:]\\]]{5000}"}) {
    EXPECT_FALSE(substitution(pattern, "")) << pattern;
  }
  for (const char* pattern : {"build(?!ing)-[0-9]+", "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
                              "\\(\\d+\\)", "a[\\]({9999}]b", "(?:x{2,}|y?)*z", "[[:alpha:]]+"}) {
    EXPECT_TRUE(substitution(pattern, "")) << pattern;
  }
  EXPECT_EQ(substitution("(a)\\1", "").error().operation, "a pattern has no back-references");
}

// ---- roles
// ---------------------------------------------------------------------------------------

Roles roles_after(const std::vector<model::Event>& events) {
  TaskFollower all;
  for (const model::Event& event : events) all.observe(event);
  return Roles{all};
}

std::vector<std::string> roles_of(const std::vector<model::Event>& events) {
  Roles roles = roles_after(events);
  std::vector<std::string> list;
  for (const model::Event& event : events) {
    roles.follow(event);
    list.push_back(roles.name(roles.task()));
  }
  return list;
}

TEST(RolesTest, SayThePlaceInTheTree) {
  EventScript script;
  script.seen(0, 10, 10, {});
  script.made(1, 10, 10, 11, NewTaskKind::kThread);
  script.made(2, 10, 10, 12, NewTaskKind::kThread);
  script.made(3, 10, 10, 13, NewTaskKind::kFork);
  script.made(4, 10, 12, 14, NewTaskKind::kFork);
  script.made(5, 10, 12, 15, NewTaskKind::kThread);
  script.made(6, 14, 14, 16, NewTaskKind::kVfork);
  script.made(7, 14, 14, 17, NewTaskKind::kThread);
  const auto events = script.events();
  Roles roles = roles_after(events);
  std::vector<std::string> made;
  for (const model::Event& event : events) {
    roles.follow(event);
    made.push_back(roles.name(roles.made()));
  }
  EXPECT_EQ(roles.of_tid(base::Tid{10}), "P1");
  EXPECT_EQ(roles.of_tid(base::Tid{11}), "P1/T1");
  EXPECT_EQ(roles.of_tid(base::Tid{12}), "P1/T2");
  EXPECT_EQ(roles.of_tid(base::Tid{13}), "P1.1");
  EXPECT_EQ(roles.of_tid(base::Tid{14}), "P1/T2.1");
  EXPECT_EQ(roles.of_tid(base::Tid{15}), "P1/T2/T1");
  EXPECT_EQ(roles.of_tid(base::Tid{16}), "P1/T2.1.1");
  EXPECT_EQ(roles.of_tid(base::Tid{17}), "P1/T2.1/T1");
  EXPECT_EQ(made[4], "P1/T2.1");
  EXPECT_EQ(made[0], "");
  const auto process = [&](int tid) { return roles.process_of(roles.task_of(base::Tid{tid})); };
  EXPECT_EQ(process(17), process(14));
  EXPECT_EQ(process(15), process(10));
  EXPECT_NE(process(14), process(10));
}

TEST(RolesTest, DoNotDependOnWhoComesFirst) {
  model::TaskSeen child;
  child.parent = base::Pid{10};
  // Children that run before their parent's clone event, and the wrong way round.
  EventScript late;
  late.seen(0, 10, 10, {});
  late.seen(1, 12, 12, child);
  late.seen(2, 11, 11, child);
  late.made(3, 10, 10, 11, NewTaskKind::kFork);
  late.made(4, 10, 10, 12, NewTaskKind::kFork);
  EXPECT_EQ(roles_of(late.events()), (std::vector<std::string>{"P1", "P1.2", "P1.1", "P1", "P1"}));
}

TEST(RolesTest, FollowExecAndReusedNumbers) {
  EventScript script;
  script.seen(0, 10, 10, {});
  script.made(1, 10, 10, 11, NewTaskKind::kThread);
  script.add(2, 10, 10, model::TaskExit{});  // the main thread left; another one runs a program
  script.add(3, 10, 10, model::Exec{base::Tid{11}, "/bin/x", {"x"}, {}});
  script.made(4, 10, 10, 12, NewTaskKind::kFork);
  script.add(5, 12, 12, model::TaskExit{});
  script.made(6, 10, 10, 12, NewTaskKind::kFork);
  script.add(7, 12, 12, model::Note{"of the second"});
  EXPECT_EQ(roles_of(script.events()),
            (std::vector<std::string>{"P1", "P1", "P1", "P1", "P1", "P1.1", "P1", "P1.2"}));
}

TEST(RolesTest, OfTasksFoundAtAttach) {
  EventScript script;
  model::TaskSeen seen;
  seen.at_attach = true;
  script.seen(0, 10, 10, seen);
  seen.parent = base::Pid{10};
  script.seen(1, 10, 11, seen);
  script.seen(2, 20, 20, seen);
  seen.parent = base::Pid{1};
  script.seen(3, 30, 30, seen);
  EXPECT_EQ(roles_of(script.events()), (std::vector<std::string>{"P1", "P1/T1", "P1.1", "P2"}));
}

TEST(RolesTest, StayShortInDeepTreesAndSurviveNonsense) {
  EventScript script;
  script.seen(0, 10, 10, {});
  for (int i = 0; i < 5'000; ++i) script.made(i + 1, 10 + i, 10 + i, 11 + i, NewTaskKind::kFork);
  std::size_t longest = 0;
  for (const auto& role : roles_of(script.events())) longest = std::max(longest, role.size());
  EXPECT_LT(longest, 300U);
  EventScript circle;
  circle.made(0, 10, 10, 10, NewTaskKind::kFork);
  circle.made(1, 10, 10, 11, NewTaskKind::kFork);
  circle.made(2, 11, 11, 10, NewTaskKind::kFork);
  for (const auto& role : roles_of(circle.events())) EXPECT_FALSE(role.empty());
}

// ---- lines of a thread
// ---------------------------------------------------------------------------------------

// More turns than steps are kept: were they counted, the end would be cut off.
constexpr int kManyTurns = 500'000;

std::vector<std::string> loop_of_waits(int turns) {
  ThreadLines lines;
  for (int turn = 0; turn < turns; ++turn) {
    lines.wait_any({"waits a read", "waits b read"});
    lines.wait("waits c write");
    lines.wait_set("waits epoll#1 read");
    lines.wait("waits a read");
  }
  lines.milestone("end");
  return lines.take(Normaliser{{}, {}});
}

TEST(ThreadLinesTest, FoldWaitsWhateverTheNumberOfTurns) {
  const auto once = loop_of_waits(1);
  EXPECT_EQ(once.back(), "end");
  EXPECT_EQ(loop_of_waits(kManyTurns), once);
}

std::vector<std::string> loop_of_blocks(int turns) {
  const std::string block(100, 'x');
  ThreadLines lines;
  lines.program("executes \"/bin/cat\"");
  for (int turn = 0; turn < turns; ++turn) {
    lines.wait("waits pipe#1 read");
    lines.output("stdout", {block, block.size(), false, true});
  }
  lines.program("executes \"/bin/true\"");
  lines.output("stdout", {"a\n", 2, false, false});
  return lines.take(Normaliser{{}, {}});
}

TEST(ThreadLinesTest, FoldBlocksOfOutputWhateverTheirNumber) {
  EXPECT_THAT(loop_of_blocks(100),
              testing::ElementsAre("executes \"/bin/cat\"", "waits pipe#1 read",
                                   "writes stdout (not line by line)", "executes \"/bin/true\"",
                                   "writes stdout \"a\\n\""));
  EXPECT_EQ(loop_of_blocks(kManyTurns), loop_of_blocks(100));
}

void write_lines(ThreadLines& lines, int count) {
  for (int line = 0; line < count; ++line) lines.output("stdout", {"a\n", 2, false, false});
}

TEST(ThreadLinesTest, ShowAThousandLinesOfOutputAndThenThatThereAreMore) {
  const auto written = [](int first, int second) {
    ThreadLines lines;
    lines.program("executes \"/bin/a\"");
    write_lines(lines, first);
    lines.program("executes \"/bin/b\"");
    write_lines(lines, second);
    lines.output("stdout", {"the last", 8, false, false});
    return lines.take(Normaliser{{}, {}});
  };
  const auto whole = written(600, 399);
  EXPECT_EQ(whole.size(), 1002U);
  EXPECT_EQ(whole.back(), "writes stdout \"the last\"");
  const auto full = written(600, 400);
  EXPECT_EQ(full.size(), 1003U);
  EXPECT_EQ(full.back(), "writes stdout more");
  EXPECT_EQ(written(600, 100'000), full);
}

// What a program that has no text wrote before does not count.
TEST(ThreadLinesTest, CountNoLinesOfWhatIsNotShown) {
  ThreadLines lines;
  lines.program("executes \"/bin/a\"");
  write_lines(lines, 5'000);
  lines.output("stdout", {"b\n", 2, true, false});
  lines.program("executes \"/bin/b\"");
  write_lines(lines, 700);
  const auto shown = lines.take(Normaliser{{}, {}});
  EXPECT_EQ(shown.size(), 703U);
  EXPECT_EQ(shown[1], "writes stdout (not line by line)");
  EXPECT_EQ(shown.back(), "writes stdout \"a\\n\"");
}

}  // namespace
}  // namespace stucktrace::compare
