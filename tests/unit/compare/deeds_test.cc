#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/event_script.h"
#include "tests/unit/compare/program.h"
#include "tests/unit/compare/run_of_events.h"

// What processes did and with whom, at the levels where order does not count.
namespace stucktrace::compare {
namespace {

using model::FdMode;
using model::NewTaskKind;
using model::ResourceKind;
using test::EventScript;
using test::fd_entry;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr std::uint64_t kBuffer = 0x7f00'0000'1000;
constexpr std::uint64_t kAtCwd = 0xffffff9c;

std::string effects(const EventScript& script, Level level = Level::kEffects) {
  return to_text(
      canonical(script.events(), {}, {.normalise = {}, .level = level, .seen = Seen::kAll}).trace);
}

// P1 with a pipe (3, 4) that nobody passes on by exec.
EventScript with_pipe() {
  EventScript script;
  model::TaskSeen seen;
  for (int fd = 0; fd < 3; ++fd) {
    seen.fds.push_back(fd_entry(fd, ResourceKind::kTty, 3, FdMode::kBoth, "x"));
  }
  script.seen(0, 10, 10, seen);
  script.add(1, 10, 10, model::Exec{{}, "/bin/main", {"main"}, {}});
  script.call(2, 2, 10, 10, "pipe2", {kBuffer, 02000000}, 0, {},
              {fd_entry(3, ResourceKind::kPipe, 77, FdMode::kRead, {}, true),
               fd_entry(4, ResourceKind::kPipe, 77, FdMode::kWrite, {}, true)});
  return script;
}

void put(EventScript& script, double at, int pid, int fd, std::int64_t bytes) {
  script.call(at, at, pid, pid, "write",
              {static_cast<std::uint64_t>(fd), kBuffer, static_cast<std::uint64_t>(bytes)}, bytes);
}
void get(EventScript& script, double at, int pid, int fd) {
  script.call(at, at, pid, pid, "read", {static_cast<std::uint64_t>(fd), kBuffer, 99}, 5);
}
void end(EventScript& script, double at, int pid, int code = 0) {
  script.add(at, pid, pid, model::TaskExit{false, code, false});
}

TEST(Deeds, OfForksThatServeOnePipeAreTakenTogether) {
  const auto run = [](bool both) {
    EventScript script = with_pipe();
    script.made(3, 10, 10, 11, NewTaskKind::kFork);
    script.made(4, 10, 10, 12, NewTaskKind::kFork);
    put(script, 5, 10, 4, 100);
    get(script, 6, 12, 3);
    if (both) get(script, 7, 11, 3);
    for (const int pid : {11, 12, 10}) end(script, 8 + pid, pid);
    return effects(script);
  };
  EXPECT_EQ(run(false), run(true));
  EXPECT_THAT(run(false), HasSubstr("  read by P2\n  read by P3\n"));
}

TEST(Deeds, ThatOnlyPutTokensBackAreNoWaits) {
  EventScript script = with_pipe();
  script.made(3, 10, 10, 11, NewTaskKind::kFork);
  put(script, 4, 10, 4, 3);
  get(script, 5, 11, 3);
  put(script, 6, 11, 4, 1);
  for (const int pid : {11, 10}) end(script, 8 + pid, pid);
  EXPECT_THAT(effects(script),
              AllOf(HasSubstr("  carries tokens\n"), Not(HasSubstr("writes a pipe"))));
}

TEST(Deeds, OfAWriterWhoseReaderLeftHaveNoAmount) {
  EventScript script = with_pipe();
  script.made(3, 10, 10, 11, NewTaskKind::kFork);
  put(script, 4, 11, 4, 65'536);
  get(script, 5, 10, 3);
  script.add(6, 11, 11, model::TaskExit{true, 13, false});
  end(script, 7, 10);
  EXPECT_THAT(effects(script),
              AllOf(HasSubstr("carries what is taken"), HasSubstr("killed by SIGPIPE")));
}

TEST(Deeds, WithAPipeThatNobodyReads) {
  EventScript script = with_pipe();
  script.made(3, 10, 10, 11, NewTaskKind::kFork);
  put(script, 4, 11, 4, 100);
  for (const int pid : {11, 10}) end(script, 8 + pid, pid);
  EXPECT_THAT(effects(script, Level::kStructure), HasSubstr("writes a pipe that nobody reads"));
}

TEST(Deeds, ThroughAPairOfSocketsGoBothWays) {
  EventScript script = with_pipe();
  script.call(3, 3, 10, 10, "socketpair", {1, 1, 0, kBuffer}, 0, {},
              {fd_entry(5, ResourceKind::kUnixSocket, 80, FdMode::kBoth),
               fd_entry(6, ResourceKind::kUnixSocket, 81, FdMode::kBoth)});
  script.made(4, 10, 10, 11, NewTaskKind::kFork);
  put(script, 5, 10, 5, 300);
  get(script, 6, 11, 6);
  put(script, 7, 11, 6, 2);
  get(script, 8, 10, 5);
  for (const int pid : {11, 10}) end(script, 9 + pid, pid);
  EXPECT_THAT(effects(script), HasSubstr("socketpair#1\n"
                                         "  made by P1\n"
                                         "  written there by P1\n"
                                         "  read there by P2\n"
                                         "  carries ~300 bytes there\n"
                                         "  written back by P2\n"
                                         "  read back by P1\n"
                                         "  carries ~2 bytes back\n"));
}

// Whoever starts first, and whatever the kernel calls them.
TEST(Deeds, NumberChildrenByWhatTheyAre) {
  const auto run = [](bool swapped) {
    EventScript script = with_pipe();
    const int sort = swapped ? 12 : 11;
    const int seq = swapped ? 11 : 12;
    script.made(3, 10, 10, 11, NewTaskKind::kFork);
    script.made(4, 10, 10, 12, NewTaskKind::kFork);
    for (const auto& [pid, from, to] : {std::tuple{sort, 3, 0}, std::tuple{seq, 4, 1}}) {
      const auto fd = static_cast<std::uint64_t>(from);
      script.call(
          5, 5, pid, pid, "dup2", {fd, static_cast<std::uint64_t>(to)}, to, {},
          // As the kernel tells of it.
          {fd_entry(to, ResourceKind::kPipe, 77, to == 0 ? FdMode::kRead : FdMode::kWrite)});
    }
    script.add(6, seq, seq, model::Exec{{}, "/bin/seq", {"seq"}, {}});
    script.add(7, sort, sort, model::Exec{{}, "/bin/sort", {"sort"}, {}});
    put(script, 8, seq, 1, 700);
    get(script, 9, sort, 0);
    for (const int pid : {11, 12, 10}) end(script, pid, pid);
    return effects(script);
  };
  EXPECT_EQ(run(false), run(true));
  EXPECT_THAT(run(false), HasSubstr("P2 seq, child of P1\n"
                                    "  stdout is pipe#1\n"
                                    "  writes a pipe to P3\n"));
}

TEST(Deeds, OfTheRuntimeDoNotCount) {
  EventScript script = with_pipe();
  double at = 3;
  const auto open = [&](std::string_view path, std::uint64_t flags) {
    script.call(at, at, 10, 10, "openat", {kAtCwd, kBuffer, flags, 0600}, 9,
                {{kBuffer, std::string{path} + '\0'}},
                {fd_entry(9, ResourceKind::kRegularFile, 5, FdMode::kBoth, std::string{path})});
    ++at;
  };
  constexpr std::uint64_t kRead = 0;
  constexpr std::uint64_t kWrite = 0x241;
  open("/usr/lib/locale/C.utf8/LC_TIME", kRead);
  open("/lib/libc.so.6", kRead);
  open("/dev/null", kWrite);
  open("/proc/self/oom_score_adj", kWrite);
  open("lib/__pycache__/a.cpython-311.pyc.140", kWrite);
  const std::string nothing = effects(script);
  EXPECT_THAT(nothing, Not(HasSubstr("opens")));
  open("out.txt", kWrite);
  EXPECT_THAT(effects(script), HasSubstr("opens \"out.txt\" for writing (creates, truncates)"));
}

// P1 and two children; mknod by `maker` (0: nobody), opened in either order.
EventScript with_fifo(int maker, bool writer_first) {
  constexpr std::uint64_t kFifoMode = 0010644;
  EventScript script = with_pipe();
  script.made(3, 10, 10, 11, NewTaskKind::kFork);
  script.made(4, 10, 10, 12, NewTaskKind::kFork);
  if (maker != 0) {
    script.call(5, 5, maker, maker, "mknodat", {kAtCwd, kBuffer, kFifoMode, 0}, 0,
                {{kBuffer, std::string{"f\0", 2}}});
  }
  const auto open = [&](double at, int pid, int fd, std::uint64_t flags, FdMode mode) {
    script.call(at, at, pid, pid, "openat", {kAtCwd, kBuffer, flags, 0}, fd,
                {{kBuffer, std::string{"f\0", 2}}},
                {fd_entry(fd, ResourceKind::kFifo, 500, mode, "/home/x/f")});
  };
  open(writer_first ? 7 : 6, 11, 7, 0, FdMode::kRead);
  open(writer_first ? 6 : 7, 12, 8, 1, FdMode::kWrite);
  put(script, 8, 12, 8, 20);
  get(script, 9, 11, 7);
  for (const int pid : {11, 12, 10}) end(script, 10 + pid, pid);
  return script;
}

TEST(Deeds, ANamedPipeIsMadeByWhoNamedIt) {
  EXPECT_EQ(effects(with_fifo(10, false)), effects(with_fifo(10, true)));
  EXPECT_THAT(effects(with_fifo(10, false)), HasSubstr("fifo#1\n"
                                                       "  made by P1\n"
                                                       "  at \"f\"\n"
                                                       "  written by P3\n"
                                                       "  read by P2\n"));
  EXPECT_EQ(effects(with_fifo(0, false)), effects(with_fifo(0, true)));
  EXPECT_THAT(effects(with_fifo(0, false)), HasSubstr("fifo#1\n"
                                                      "  made by nobody\n"
                                                      "  at \"/home/x/f\"\n"));
}

// The name may be taken away between an open and its report.
TEST(Deeds, ANamedPipeRemovedMeanwhileIsTheSameOne) {
  constexpr std::uint64_t kFifoMode = 0010644;
  const auto run = [](int reported_late) {
    EventScript script = with_pipe();
    const test::Memory path{{kBuffer, std::string{"f\0", 2}}};
    script.made(3, 10, 10, 11, NewTaskKind::kFork);
    script.made(3, 10, 10, 12, NewTaskKind::kFork);
    script.call(4, 4, 10, 10, "mknod", {kBuffer, kFifoMode, 0}, 0, path);
    double at = 5;
    for (const int pid : {10, 11}) {
      const bool late = pid - 10 >= 2 - reported_late;
      script.call(
          at, late ? 20 + at : at, pid, pid, "open", {kBuffer, 2, 0}, 7, path,
          {fd_entry(7, ResourceKind::kFifo, 500, FdMode::kBoth, late ? "/x/f (deleted)" : "/x/f")});
      ++at;
    }
    script.call(11, 11, 12, 12, "unlink", {kBuffer}, 0, path);
    put(script, 30, 11, 7, 20);
    return effects(script);
  };
  EXPECT_EQ(run(0), run(1));
  EXPECT_EQ(run(0), run(2));
  EXPECT_THAT(run(0), HasSubstr("fifo#1\n  made by P1\n  at \"f\"\n"));
}

TEST(Deeds, TheInodeOfARemovedNamedPipeIsFree) {
  constexpr std::uint64_t kFifoMode = 0010644;
  EventScript script = with_pipe();
  double at = 3;
  for (const char* name : {"f", "g"}) {
    const test::Memory path{{kBuffer, std::string{name} + '\0'}};
    script.call(at, at, 10, 10, "mknod", {kBuffer, kFifoMode, 0}, 0, path);
    script.call(at + 1, at + 1, 10, 10, "open", {kBuffer, 2, 0}, 7, path,
                {fd_entry(7, ResourceKind::kFifo, 500, FdMode::kBoth, std::string{"/x/"} + name)});
    script.made(at + 2, 10, 10, static_cast<int>(10 + at), NewTaskKind::kFork);
    put(script, at + 3, static_cast<int>(10 + at), 7, 20);
    script.call(at + 4, at + 4, 10, 10, "unlink", {kBuffer}, 0, path);
    at += 5;
  }
  const std::string text = effects(script);
  EXPECT_THAT(text, HasSubstr("fifo#1\n  made by P1\n  at \"f\"\n"));
  EXPECT_THAT(text, HasSubstr("fifo#2\n  made by P1\n  at \"g\"\n"));
}

TEST(Deeds, SignalsGoByEachOfTheirCalls) {
  EventScript script = with_pipe();
  script.made(3, 10, 10, 11, NewTaskKind::kFork);
  script.call(4, 4, 10, 10, "tgkill", {11, 11, 10}, 0);
  script.call(5, 5, 10, 10, "pidfd_open", {11, 0}, 7, {},
              {fd_entry(7, ResourceKind::kPidFd, 90, FdMode::kBoth)});
  script.call(6, 6, 10, 10, "pidfd_send_signal", {7, 15, 0, 0}, 0);
  script.call(7, 7, 10, 10, "tgkill", {10, 10, 12}, 0);
  for (const int pid : {11, 10}) end(script, pid, pid);
  EXPECT_THAT(effects(script), AllOf(HasSubstr("sends SIGUSR1 to P2"),
                                     HasSubstr("sends SIGTERM to P2"), Not(HasSubstr("SIGUSR2"))));
}

TEST(Deeds, OfManyUsersOfOneLockStayShort) {
  const auto run = [](int children) {
    EventScript script = with_pipe();
    for (int child = 0; child < children; ++child) {
      const int pid = 100 + child;
      script.made(3 + child, 10, 10, pid, NewTaskKind::kFork);
      script.call(3 + child, 3 + child, pid, pid, "openat", {kAtCwd, kBuffer, 0x41, 0600}, 9,
                  {{kBuffer, std::string{"lock\0", 5}}},
                  {fd_entry(9, ResourceKind::kRegularFile, 5, FdMode::kBoth, "/x/lock")});
      script.call(3 + child, 3 + child, pid, pid, "flock", {9, 2}, 0);
    }
    return effects(script);
  };
  EXPECT_THAT(run(2), HasSubstr("  locks a file as does P3\n"));
  EXPECT_THAT(run(2'000),
              AllOf(HasSubstr("  locks a file as do 1999 others\n"), Not(HasSubstr("as does"))));
}

TEST(Deeds, WithQuotesInTheirPathsStayText) {
  EventScript script = with_pipe();
  script.call(3, 3, 10, 10, "mkdir", {kBuffer, 0700}, 0,
              {{kBuffer, std::string{"a\" P1 \"b\\\0", 10}}});
  EXPECT_THAT(effects(script), HasSubstr(R"(makes directory "a\" P1 \"b\\")"));
}

TEST(Deeds, ShowWhatIsLeftOpenAcrossExec) {
  EventScript script = with_pipe();
  script.made(3, 10, 10, 11, NewTaskKind::kFork);
  script.call(4, 4, 11, 11, "fcntl", {4, 2, 0}, 0);  // F_SETFD: no close-on-exec any more
  script.add(5, 11, 11, model::Exec{{}, "/bin/seq", {"seq"}, {}});
  EXPECT_THAT(effects(script), HasSubstr("P2 seq, child of P1\n  inherits pipe#1 for writing\n"));
}

}  // namespace
}  // namespace stucktrace::compare
