#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/event_script.h"
#include "tests/unit/compare/program.h"
#include "tests/unit/compare/run_of_events.h"
#include "tracer/compare/canonical.h"

// What single calls and other events become.
namespace stucktrace::compare {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

using model::FdMode;
using model::ResourceKind;
using test::EventScript;
using test::fd_entry;

constexpr int kPid = 4000;
constexpr std::uint64_t kBuffer = 0x7f00'0000'1000;

EventScript started(ResourceKind output = ResourceKind::kTty) {
  EventScript script;
  model::TaskSeen seen;
  seen.fds = {fd_entry(0, output, 3, FdMode::kBoth, "x"),
              fd_entry(1, output, 3, FdMode::kBoth, "x"),
              fd_entry(2, output, 3, FdMode::kBoth, "x")};
  script.seen(0, kPid, kPid, seen);
  return script;
}

CanonicalTrace calls_of(const EventScript& script) {
  return canonical(script.events(), {}, {.normalise = {}, .level = Level::kCalls, .seen = {}})
      .trace;
}

std::vector<std::string> main_lines(const EventScript& script) {
  const auto trace = calls_of(script);
  for (const auto& section : trace.sections) {
    if (section.role == "P1 calls") return section.lines;
  }
  return {};
}

void add_pipe(EventScript& script, double at, int fd, std::uint64_t inode) {
  script.call(at, at, kPid, kPid, "pipe2", {kBuffer, 0}, 0, {},
              {fd_entry(fd, ResourceKind::kPipe, inode, FdMode::kRead),
               fd_entry(fd + 1, ResourceKind::kPipe, inode, FdMode::kWrite)});
}

// struct pollfd
std::string polled(int fd, short events) {
  struct {
    int fd;
    short events;
    short revents;
  } entry{fd, events, 0};
  return test::bytes_of(entry);
}

TEST(Output, GoesByItsStreamWhereverThatLeads) {
  for (const auto kind : {ResourceKind::kTty, ResourceKind::kPipe, ResourceKind::kRegularFile,
                          ResourceKind::kCharDevice}) {
    EventScript script = started(kind);
    script.call(1, 1, kPid, kPid, "write", {1, kBuffer, 2}, 2, {{kBuffer, "a\n"}});
    script.call(2, 2, kPid, kPid, "write", {2, kBuffer, 2}, 2, {{kBuffer, "b\n"}});
    script.call(3, 3, kPid, kPid, "read", {0, kBuffer, 10}, 0);
    EXPECT_THAT(main_lines(script), ElementsAre("writes stdout \"a\\n\"", "writes stderr \"b\\n\"",
                                                "waits stdin read"));
  }
}

TEST(Output, OfWhichNotAllWasKeptIsNotComparedByText) {
  const std::string kept(100, 'x');
  EventScript whole = started();
  whole.call(1, 1, kPid, kPid, "write", {1, kBuffer, 5000}, 5000, {{kBuffer, kept}});
  EventScript split = started();
  split.call(1, 1, kPid, kPid, "write", {1, kBuffer, 5000}, 3000, {{kBuffer, kept}});
  split.call(2, 2, kPid, kPid, "poll", {kBuffer, 1, 0xffffffff}, 1, {{kBuffer, polled(1, 4)}});
  split.call(3, 3, kPid, kPid, "write", {1, kBuffer, 2000}, 2000, {{kBuffer, kept}});
  EXPECT_THAT(main_lines(whole), ElementsAre("writes stdout (not line by line)"));
  EXPECT_EQ(main_lines(split), main_lines(whole));
}

// As cat does: blocks are passed on as they come, and end anywhere.
TEST(Output, PassedOnInBlocksIsNotComparedByText) {
  std::string data;
  for (int i = 0; i < 2'000; ++i) data += fmt::format("{}\n", i);
  const auto run = [&](std::size_t block) {
    EventScript script = started(ResourceKind::kPipe);
    double at = 1;
    for (std::size_t done = 0; done < data.size(); ++at) {
      const std::size_t size = std::min(block, data.size() - done);
      const auto count = static_cast<std::int64_t>(size);
      script.call(at, at, kPid, kPid, "read", {0, kBuffer, 131'072}, count);
      script.call(at + 0.5, at + 0.5, kPid, kPid, "write", {1, kBuffer, size}, count,
                  {{kBuffer, data.substr(done, std::min<std::size_t>(size, 4'096))}});
      done += size;
    }
    return main_lines(script);
  };
  EXPECT_THAT(run(4'096), ElementsAre("waits stdin read", "writes stdout (not line by line)"));
  for (const std::size_t block : {100U, 4'095U, 5'000U, 131'072U}) {
    EXPECT_EQ(run(block), run(4'096)) << block;
  }
}

TEST(Output, OfAnotherProgramHasItsTextAgain) {
  EventScript script = started();
  script.call(1, 1, kPid, kPid, "write", {1, kBuffer, 5000}, 5000, {{kBuffer, "x"}});
  script.add(2, kPid, kPid, model::Exec{{}, "/bin/b", {"b"}, {}});
  script.call(3, 3, kPid, kPid, "write", {1, kBuffer, 2}, 2, {{kBuffer, "a\n"}});
  EXPECT_THAT(main_lines(script),
              ElementsAre("writes stdout (not line by line)", "executes \"/bin/b\" \"b\"",
                          "writes stdout \"a\\n\""));
}

TEST(Output, WithoutTextIsAWait) {
  EventScript script = started();
  script.call(1, 1, kPid, kPid, "write", {1, kBuffer, 5000}, 5000);
  EXPECT_THAT(main_lines(script), ElementsAre("waits stdout write"));
}

TEST(Output, IsBoundedPerStream) {
  EventScript script = started();
  for (int i = 0; i < 1'500; ++i) {
    script.call(i, i, kPid, kPid, "write", {1, kBuffer, 2}, 2, {{kBuffer, "y\n"}});
  }
  const auto lines = main_lines(script);
  EXPECT_EQ(lines.size(), 1'001U);
  EXPECT_EQ(lines.back(), "writes stdout more");
}

TEST(Waits, ReadAndPollOfOneThingAreTheSame) {
  EventScript blocking = started();
  add_pipe(blocking, 1, 3, 9);
  blocking.call(2, 3, kPid, kPid, "read", {3, kBuffer, 10}, 5);
  EventScript polling = started();
  add_pipe(polling, 1, 3, 9);
  polling.call(2, 2, kPid, kPid, "read", {3, kBuffer, 10}, -11);
  polling.call(3, 4, kPid, kPid, "poll", {kBuffer, 1, 50}, 1, {{kBuffer, polled(3, 1)}});
  polling.call(5, 5, kPid, kPid, "read", {3, kBuffer, 10}, 5);
  EXPECT_THAT(main_lines(blocking), ElementsAre("makes pipe#1", "waits pipe#1 read"));
  EXPECT_EQ(main_lines(polling), main_lines(blocking));
}

// As communicate() does: which pipe has data first, and which ends first, is timing.
TEST(Waits, ForAnyOfSeveralAreOneLineInWhateverOrderTheyComeTrue) {
  const auto run = [](int first, int second) {
    EventScript script = started();
    add_pipe(script, 1, 3, 9);
    add_pipe(script, 2, 5, 10);
    const test::Memory both = {{kBuffer, polled(3, 1) + polled(5, 1)}};
    double at = 3;
    const auto call = [&](std::string_view name, std::initializer_list<std::uint64_t> args,
                          const test::Memory& memory = {}) {
      script.call(at, at, kPid, kPid, name, args, 1, memory);
      ++at;
    };
    const auto fd = [](int number) { return static_cast<std::uint64_t>(number); };
    call("poll", {kBuffer, 2, 0xffffffff}, both);
    call("read", {fd(first), kBuffer, 10});
    call("poll", {kBuffer, 1, 0xffffffff}, {{kBuffer, polled(second, 1)}});
    call("read", {fd(second), kBuffer, 10});
    return main_lines(script);
  };
  EXPECT_THAT(run(3, 5),
              ElementsAre("makes pipe#1", "makes pipe#2", "waits any of pipe#1 read, pipe#2 read"));
  EXPECT_EQ(run(5, 3), run(3, 5));
}

TEST(Waits, KeepTheirOrderBetweenMilestones) {
  const auto run = [](int first, int second) {
    EventScript script = started();
    add_pipe(script, 1, 3, 9);
    add_pipe(script, 2, 5, 10);
    script.call(3, 3, kPid, kPid, "read", {static_cast<std::uint64_t>(first), kBuffer, 10}, 1);
    script.call(4, 4, kPid, kPid, "read", {static_cast<std::uint64_t>(second), kBuffer, 10}, 1);
    return main_lines(script);
  };
  EXPECT_NE(run(3, 5), run(5, 3));
}

TEST(Waits, ThatNeverComeBackCountAsWell) {
  EventScript script = started();
  add_pipe(script, 1, 3, 9);
  script.enter(2, kPid, kPid, "read", {3, kBuffer, 10});
  EXPECT_THAT(main_lines(script), ElementsAre("makes pipe#1", "waits pipe#1 read"));
}

TEST(Waits, WithoutTheirEntryAreToldByTheExit) {
  EventScript script = started();
  add_pipe(script, 1, 3, 9);
  script.exit(2, kPid, kPid, "read", {3, kBuffer, 10}, 4);
  EXPECT_THAT(main_lines(script), ElementsAre("makes pipe#1", "waits pipe#1 read"));
}

TEST(Waits, OfFilesLocksAndClocks) {
  EventScript script = started();
  script.call(1, 1, kPid, kPid, "openat", {0xffffff9c, kBuffer, 0x42, 0600}, 3,
              {{kBuffer, std::string{"/srv/lock\0", 10}}},
              {fd_entry(3, ResourceKind::kRegularFile, 5, FdMode::kBoth, "/srv/lock")});
  script.call(2, 9, kPid, kPid, "flock", {3, 2}, 0);
  script.call(10, 10, kPid, kPid, "read", {3, kBuffer, 10}, 4);
  script.call(11, 12, kPid, kPid, "nanosleep", {kBuffer, 0}, 0);
  script.call(13, 14, kPid, kPid, "poll", {0, 0, 10}, 0);
  script.call(15, 15, kPid, kPid, "flock", {3, 8}, 0);
  EXPECT_THAT(main_lines(script), ElementsAre("opens \"/srv/lock\" for writing (creates)",
                                              "waits lock of \"/srv/lock\""));
}

TEST(Signals, SentOnesStandInOrderReceivedOnesDoNot) {
  EventScript script = started();
  script.made(1, kPid, kPid, 4001, model::NewTaskKind::kFork);
  script.call(2, 2, kPid, kPid, "kill", {4001, 15}, 0);
  script.call(3, 3, kPid, kPid, "kill", {4001, 0}, 0);  // a probe
  script.add(4, 4001, 4001, model::SignalStop{15, 0, base::Pid{kPid}, 0});
  script.add(5, 4001, 4001, model::TaskExit{true, 15, false});
  script.add(6, kPid, kPid, model::SignalStop{17, 1, base::Pid{4001}, 0});
  script.add(7, kPid, kPid, model::SignalStop{10, 0, base::Pid{1}, 0});
  EXPECT_EQ(to_text(calls_of(script)), R"(P1 unknown (forked)
  sends SIGTERM to P2
  receives SIGUSR1
  does not end

P1 calls
  makes process P2
  sends SIGTERM to P2

P2 unknown (forked), child of P1
  receives SIGTERM
  killed by SIGTERM
)");
}

// Shells reap in a SIGCHLD handler or in a call that blocks, as it happens.
TEST(Children, ReapedBySomeWaitCountByWhoNotByWhere) {
  const auto run = [](bool early) {
    EventScript script = started();
    script.made(1, kPid, kPid, 4001, model::NewTaskKind::kFork);
    script.add(2, 4001, 4001, model::TaskExit{false, 0, false});
    const auto reap = [&](double at, std::uint64_t options) {
      script.call(at, at, kPid, kPid, "wait4", {0xffffffff, kBuffer, options, 0}, 4001);
    };
    if (early) reap(3, 1);
    add_pipe(script, 4, 3, 9);
    if (!early) reap(5, 0);
    return to_text(calls_of(script));
  };
  EXPECT_EQ(run(true), run(false));
  EXPECT_THAT(run(true), HasSubstr("waits for P2"));
  EXPECT_THAT(run(true), Not(HasSubstr("waits child")));
}

TEST(Sockets, AreNamedByAddress) {
  EventScript script = started();
  const auto unix_address = [](std::string_view path) {
    return std::string{"\x01\0", 2} + std::string{path};
  };
  script.call(1, 1, kPid, kPid, "socket", {1, 1, 0}, 3, {},
              {fd_entry(3, ResourceKind::kUnixSocket, 77, FdMode::kBoth)});
  const std::string path = unix_address("/run/app.sock");
  script.call(2, 2, kPid, kPid, "bind", {3, kBuffer, path.size()}, 0, {{kBuffer, path}});
  script.call(3, 3, kPid, kPid, "listen", {3, 5}, 0);
  script.call(4, 9, kPid, kPid, "accept4", {3, 0, 0, 0}, 4, {},
              {fd_entry(4, ResourceKind::kUnixSocket, 78, FdMode::kBoth)});
  script.call(10, 11, kPid, kPid, "recvfrom", {4, kBuffer, 10, 0, 0, 0}, 4);
  const std::string high{"\x02\0\xc0\x01\x7f\0\0\x01\0\0\0\0\0\0\0\0", 16};  // port 49153
  script.call(12, 13, kPid, kPid, "connect", {9, kBuffer, 16}, 0, {{kBuffer, high}});
  EXPECT_THAT(main_lines(script),
              ElementsAre("makes unix#1", "binds unix#1 to unix \"/run/app.sock\"",
                          "listens on unix#1 at unix \"/run/app.sock\"", "waits unix#1 read",
                          "waits unix#2 read", "connects to inet 127.0.0.1:<port>"));
}

}  // namespace
}  // namespace stucktrace::compare
