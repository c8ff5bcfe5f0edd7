#include "tracer/render/text_timeline.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>

#include "tests/unit/render/birth_case.h"
#include "tests/unit/render/golden.h"

namespace stucktrace::render {
namespace {

using base::Pid;
using base::Tid;
using model::FdMode;
using model::NewTaskKind;
using model::ResourceKind;
using test::EventScript;
using test::fd_entry;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

using Lines = std::vector<std::string>;

TimelineOptions at_level(TimelineLevel level) {
  TimelineOptions options;
  options.level = level;
  return options;
}

// The lines of a script; `tick_ms`: a live view that ticks between events.
Lines lines_of(const EventScript& script, TimelineOptions options = {}, double tick_ms = 0) {
  Lines lines;
  TextTimeline timeline(options, EventScript::kStart,
                        [&](std::string_view line) { lines.emplace_back(line); });
  base::Instant last = EventScript::kStart;
  for (const model::Event& event : script.events()) {
    if (tick_ms > 0) {
      const base::Nanoseconds step{static_cast<std::int64_t>(tick_ms * 1e6)};
      for (base::Instant at = last + step; at < event.at; at = at + step) timeline.tick(at);
    }
    last = event.at;
    timeline.on_event(event);
  }
  timeline.close();
  return lines;
}

std::string birth_text(TimelineOptions options) {
  std::string text;
  TextTimeline timeline(options, EventScript::kStart,
                        [&](std::string_view line) { text.append(line).append("\n"); });
  bool reported = false;
  bool resolved = false;
  for (const model::Event& event : test::birth_case().events()) {
    if (!std::exchange(reported, reported || event.at > EventScript::at_ms(1262))) {
      if (event.at > EventScript::at_ms(1262)) timeline.finding(test::birth_finding());
    }
    timeline.on_event(event);
    if (!resolved && event.at >= EventScript::at_ms(5063.5)) {
      model::FindingRecord record = test::birth_finding();
      record.resolved_at = event.at;
      record.resolved_by = "P1 read the pipe (fd 3)";
      timeline.finding(record);
      resolved = true;
    }
  }
  timeline.close();
  return text;
}

// A process with a terminal and a pipe, both ends: 3 reads, 4 writes.
EventScript one_process(int pid = 10) {
  model::TaskSeen seen;
  seen.comm = "prog";
  seen.argv = {"prog"};
  seen.at_attach = true;
  seen.fds = {fd_entry(1, ResourceKind::kTty, 3, FdMode::kBoth, "/dev/pts/0"),
              fd_entry(2, ResourceKind::kTty, 3, FdMode::kBoth, "/dev/pts/0"),
              fd_entry(3, ResourceKind::kPipe, 77, FdMode::kRead),
              fd_entry(4, ResourceKind::kPipe, 77, FdMode::kWrite)};
  return EventScript{}.seen(0, pid, pid, seen);
}

void say(EventScript& script, double ms, std::string text, int pid = 10, int fd = 1) {
  const std::uint64_t size = text.size();
  script.call(ms, ms + 0.1, pid, pid, "write", {static_cast<std::uint64_t>(fd), 0x1000, size},
              static_cast<std::int64_t>(size), {{0x1000, std::move(text)}});
}

// ---- the birth case -----------------------------------------------------------------------------

TEST(TextTimeline, BirthCaseIsOneScreen) {
  const std::string story = birth_text({});
  test::expect_golden("birth_story.txt", story);
  EXPECT_LE(std::ranges::count(story, '\n'), 40);
}

TEST(TextTimeline, BirthCaseCallByCall) {
  test::expect_golden("birth_calls.txt", birth_text(at_level(TimelineLevel::kCalls)));
}

TEST(TextTimeline, ColourChangesNoWord) {
  TimelineOptions options;
  options.color = true;
  std::string text = birth_text(options);
  EXPECT_THAT(text, HasSubstr("\x1b[1;31m"));
  for (std::size_t at = 0; (at = text.find("\x1b[")) != text.npos;) {
    text.erase(at, text.find('m', at) + 1 - at);
  }
  EXPECT_EQ(text, birth_text({}));
}

TEST(TextTimeline, LiveTicksChangeNothing) {
  for (const auto level : {TimelineLevel::kStory, TimelineLevel::kCalls, TimelineLevel::kAll}) {
    EXPECT_EQ(lines_of(test::birth_case(), at_level(level), 50),
              lines_of(test::birth_case(), at_level(level)));
  }
  // Also where something is due in between: a prompt, a flood, a repeated slow call.
  EventScript script = one_process();
  say(script, 10, "name? ");
  for (int i = 0; i < 30; ++i) say(script, 20 + i, "line\n");
  script.call(2000, 2200, 10, 10, "read", {3, 0, 1}, 1);
  script.call(2300, 2500, 10, 10, "read", {3, 0, 1}, 1);
  script.call(9000, 9001, 10, 10, "close", {3}, 0);
  EXPECT_EQ(lines_of(script, {}, 50), lines_of(script));
}

// ---- loops --------------------------------------------------------------------------------------

EventScript polling_parent() {
  EventScript script = one_process();
  script.made(5, 10, 10, 20, NewTaskKind::kFork);
  for (int turn = 0; turn < 97; ++turn) {
    const double at = 10 + turn * 50;
    script.call(at, at + 0.1, 10, 10, "wait4", {20, 0x7000, WNOHANG, 0}, 0);
    script.call(at + 0.2, at + 50, 10, 10, "select", {0, 0, 0, 0, 0x7100}, 0,
                {{0x7100, std::string("\0\0\0\0\0\0\0\0\x50\xc3\0\0\0\0\0\0", 16)}});
  }
  return script;
}

TEST(TextTimeline, PollingWaitIsOneLine) {
  EventScript script = polling_parent();
  script.call(4860, 4861, 10, 10, "wait4", {20, 0x7000, WNOHANG, 0}, 20);
  const Lines lines = lines_of(script);
  ASSERT_EQ(lines.size(), 3U);
  // Where in the loop the counting begins is not promised; the steps and the times are.
  EXPECT_THAT(lines[2], HasSubstr("P1.T1   10  "));
  EXPECT_THAT(lines[2], HasSubstr("wait4(P2, WNOHANG) = 0"));
  EXPECT_THAT(lines[2], HasSubstr("select(50 ms) = 0 (time-out)"));
  EXPECT_THAT(lines[2], testing::ContainsRegex("×9[67], 4.[89] s, since 0.010]"));
}

TEST(TextTimeline, LoopIsToldAsSoonAsTheThreadDoesSomethingElse) {
  EventScript script = polling_parent();
  script.enter(4861, 10, 10, "futex", {0xc000, 0x80, 2, 0});
  script.add(4900, 10, 10, model::Note{"afterwards"});
  const Lines lines = lines_of(script);
  ASSERT_GE(lines.size(), 4U);
  EXPECT_THAT(lines[2], testing::ContainsRegex("×9[67], "));
  EXPECT_THAT(lines[3], HasSubstr("note: afterwards"));
}

TEST(TextTimeline, LoopThatGoesOnAtTheEnd) {
  EXPECT_THAT(lines_of(polling_parent()).back(), HasSubstr("since 0.010, still going]"));
}

TEST(TextTimeline, FewTurnsAreCalls) {
  EventScript script = one_process();
  script.call(10, 11, 10, 10, "read", {3, 0, 1}, 1).call(12, 13, 10, 10, "read", {3, 0, 1}, 1);
  script.call(14, 15, 10, 10, "close", {3}, 0);
  const Lines lines = lines_of(script, at_level(TimelineLevel::kCalls));
  ASSERT_EQ(lines.size(), 4U);
  EXPECT_THAT(lines[1], HasSubstr("read(3<pipe:77 ← P1:4>, NULL, 1) = 1"));
  EXPECT_THAT(lines[2], HasSubstr("read(3<pipe:77 ← P1:4>, NULL, 1) = 1"));
}

// ---- names --------------------------------------------------------------------------------------

TEST(TextTimeline, DescriptorsSayWhoHasTheOtherEnd) {
  EventScript script = one_process();
  script.made(5, 10, 10, 20, NewTaskKind::kFork);
  script.call(10, 200, 10, 10, "read", {3, 0, 1}, 1).call(300, 500, 20, 20, "write", {4, 0, 1}, 1);
  const Lines lines = lines_of(script);
  EXPECT_THAT(lines[2], HasSubstr("read(3<pipe:77 ← P1:4, P2:4>, 1 bytes) = 1  [blocked 190 ms, "
                                  "since 0.010]"));
  EXPECT_THAT(lines[3], HasSubstr("write(4<pipe:77 → P1:3, P2:3>, 1 bytes) = 1"));
}

TEST(TextTimeline, TheOtherEndIsNamedAlsoWhenItIsGoneAtTheEnd) {
  EventScript script = one_process();
  script.made(5, 10, 10, 20, NewTaskKind::kFork).call(6, 7, 10, 10, "close", {4}, 0);
  script.enter(10, 10, 10, "read", {3, 0, 1}).add(900, 20, 20, model::TaskExit{});
  script.exit(901, 10, 10, "read", {3, 0, 1}, 0);
  EXPECT_THAT(lines_of(script).back(), HasSubstr("read(3<pipe:77 ← P2:4>, 1 bytes) = 0 (end of "
                                                 "file)  [blocked 891 ms, since 0.010]"));
}

TEST(TextTimeline, SocketPairsFilesAndAnonymousInodes) {
  EventScript script = one_process();
  script.call(5, 6, 10, 10, "socketpair", {1, 1, 0, 0x7000}, 0, {},
              {fd_entry(5, ResourceKind::kUnixSocket, 501, FdMode::kBoth),
               fd_entry(6, ResourceKind::kUnixSocket, 502, FdMode::kBoth)});
  script.made(7, 10, 10, 20, NewTaskKind::kFork).call(8, 9, 10, 10, "close", {6}, 0);
  script.call(10, 11, 10, 10, "openat", {~99ULL, 0x7000, 0}, 7, {{0x7000, std::string("/l\0", 3)}},
              {fd_entry(7, ResourceKind::kRegularFile, 9, FdMode::kRead, "/var/l\x1b[31m")});
  script.call(12, 13, 10, 10, "eventfd2", {0, 0}, 8, {},
              {fd_entry(8, ResourceKind::kEventFd, 14, FdMode::kBoth, "anon_inode:[eventfd]")});
  script.call(20, 200, 10, 10, "read", {5, 0, 1}, 1).call(210, 400, 10, 10, "read", {7, 0, 1}, 0);
  script.call(410, 600, 10, 10, "read", {8, 0, 8}, 8).call(610, 800, 10, 10, "read", {99, 0, 8}, 8);
  const Lines lines = lines_of(script);
  ASSERT_EQ(lines.size(), 6U);
  EXPECT_THAT(lines[1], HasSubstr(" with socket pair 5<unix:501>, 6<unix:502>"));
  EXPECT_THAT(lines[2], HasSubstr("read(5<unix:501 ↔ P2:6>, "));
  EXPECT_THAT(lines[3], HasSubstr("read(7</var/l\\x1b[31m>, "));
  EXPECT_THAT(lines[4], HasSubstr("read(8<eventfd>, "));
  EXPECT_THAT(lines[5], HasSubstr("read(99, "));
}

TEST(TextTimeline, ADescriptorIsNamedByWhatItWasInEachCall) {
  EventScript script = one_process();
  const auto opened = [&](double ms, const std::string& path) {
    script.call(ms, ms + 1, 10, 10, "openat", {~99ULL, 0x7000, 0}, 7, {{0x7000, path + '\0'}},
                {fd_entry(7, ResourceKind::kRegularFile, 9, FdMode::kRead, path)});
  };
  opened(1, "/a");
  script.call(3, 4, 10, 10, "read", {7, 0, 1}, 1).call(5, 6, 10, 10, "read", {7, 0, 9}, 5);
  script.call(7, 8, 10, 10, "close", {7}, 0);
  opened(9, "/b");
  script.call(11, 12, 10, 10, "read", {7, 0, 1}, 1);
  // The other end of a pipe changes between two equal calls of another thread.
  script.call(13, 14, 10, 10, "write", {4, 0, 1}, 1).made(15, 10, 10, 20, NewTaskKind::kFork);
  script.call(16, 17, 10, 10, "write", {4, 0, 1}, 1);
  Lines reads;
  for (const std::string& line : lines_of(script, at_level(TimelineLevel::kAll))) {
    const std::size_t at = std::min(line.find("read("), line.find("write("));
    if (at != line.npos) reads.push_back(line.substr(at, line.find(',') - at));
  }
  EXPECT_THAT(reads, ElementsAre("read(7</a>", "read(7</a>", "read(7</b>",
                                 "write(4<pipe:77 → P1:3>", "write(4<pipe:77 → P1:3"));
}

TEST(TextTimeline, ManyHoldersAreCounted) {
  EventScript script = one_process();
  for (int child = 20; child < 30; ++child) script.made(5, 10, 10, child, NewTaskKind::kFork);
  script.call(10, 200, 10, 10, "write", {4, 0, 1}, 1);
  EXPECT_THAT(lines_of(script).back(), HasSubstr("4<pipe:77 → P1:3, P2:3, P3:3, P4:3, 7 more>"));
}

// ---- waits that do not end ----------------------------------------------------------------------

TEST(TextTimeline, OpenCallsAtTheEnd) {
  EventScript script = one_process();
  script.enter(100, 10, 10, "read", {3, 0, 1}).add(3300, 0, 0, model::Note{"the end"});
  EXPECT_THAT(lines_of(script).back(),
              AllOf(StartsWith("    3.300  P1.T1   10"),
                    HasSubstr("read(3<pipe:77 ← P1:4>, 1 bytes)  [still blocked after 3.2 s, since "
                              "0.100]")));
}

TEST(TextTimeline, CallsOpenAtTheAttach) {
  EventScript script = one_process();
  model::SyscallEnter enter;
  enter.call = test::raw_call("read", {3, 0, 1});
  enter.open_at_attach = true;
  script.add(1, 10, 10, enter);
  EXPECT_THAT(lines_of(script).back(), HasSubstr("still blocked, since before the attach"));
  script.exit(2001, 10, 10, "read", {3, 0, 1}, 1);
  EXPECT_THAT(lines_of(script).back(), HasSubstr("[blocked since before the attach, 2 s seen]"));
}

TEST(TextTimeline, DeathInACall) {
  model::TaskExit killed;
  killed.signaled = true;
  killed.code = SIGKILL;
  EventScript script = one_process();
  script.enter(100, 10, 10, "read", {3, 0, 1}).add(1100, 10, 10, killed);
  const Lines lines = lines_of(script);
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_THAT(lines[1], HasSubstr("[1 s, since 0.100, died in it]"));
  EXPECT_THAT(lines[2], HasSubstr("is killed by SIGKILL"));
}

// ---- life ---------------------------------------------------------------------------------------

TEST(TextTimeline, AttachNamesProcessesNotTheirThreads) {
  EventScript script = one_process();
  model::TaskSeen thread;
  thread.comm = "worker";
  thread.at_attach = true;
  for (int tid = 11; tid < 500; ++tid) script.seen(1, 10, tid, thread);
  script.add(9, 10, 11, model::Detached{"on request"})
      .add(9, 10, 10, model::Detached{"on request"});
  EXPECT_THAT(lines_of(script),
              ElementsAre(HasSubstr("found running: prog"), HasSubstr("let go: on request")));
  EXPECT_EQ(lines_of(script, at_level(TimelineLevel::kCalls)).size(), 492U);
}

TEST(TextTimeline, ThreadsThatEndWithTheirProcessAreNotTold) {
  EventScript script = one_process();
  script.made(1, 10, 10, 11, NewTaskKind::kThread, true)
      .made(1, 10, 10, 12, NewTaskKind::kThread, true)
      .add(2, 10, 11, model::TaskExit{})
      .enter(3, 10, 10, "exit_group", {0})
      .add(4, 10, 12, model::TaskExit{})
      .add(5, 10, 10, model::TaskExit{});
  EXPECT_THAT(lines_of(script),
              ElementsAre(HasSubstr("found running"), HasSubstr("starts thread P1.T2 (tid 11)"),
                          HasSubstr("starts thread P1.T3 (tid 12)"),
                          AllOf(HasSubstr("P1.T2   10/11"), HasSubstr("thread ends")),
                          HasSubstr("exits with status 0")));
}

TEST(TextTimeline, StopsContinuesLostAndNotes) {
  EventScript script = one_process();
  script.add(1, 10, 10, model::GroupStop{SIGSTOP}).add(2, 10, 10, model::Continued{});
  script.add(3, 10, 10, model::Lost{3, "exits"}).add(4, 0, 0, model::Lost{0, "the head"});
  EXPECT_THAT(lines_of(script), ElementsAre(HasSubstr("found"), HasSubstr("is stopped by SIGSTOP"),
                                            HasSubstr("goes on"), HasSubstr("not seen: 3 × exits"),
                                            HasSubstr("-                    not seen: the head")));
}

TEST(TextTimeline, SignalsThatMatter) {
  EventScript script = one_process();
  script.made(1, 10, 10, 20, NewTaskKind::kFork);
  const auto signal = [](int number, int from) {
    model::SignalStop stop;
    stop.signo = number;
    stop.sender = Pid{from};
    return stop;
  };
  script.add(2, 10, 10, signal(SIGCHLD, 20)).add(3, 20, 20, signal(SIGTERM, 10));
  script.call(4, 5, 10, 10, "kill", {20, SIGTERM}, 0).call(6, 7, 10, 10, "kill", {20, 0}, 0);
  model::SignalStop fault;
  fault.signo = SIGSEGV;
  fault.address = 0x18;
  script.add(8, 20, 20, fault);
  EXPECT_THAT(
      lines_of(script),
      ElementsAre(HasSubstr("found"), HasSubstr("forks"), HasSubstr("gets SIGTERM from P1"),
                  HasSubstr("kill(P2, SIGTERM) = 0"), HasSubstr("gets SIGSEGV at address 0x18")));
  EventScript storm = one_process();
  for (int i = 0; i < 100; ++i) storm.add(i, 10, 10, signal(SIGALRM, 0));
  const Lines lines = lines_of(storm);
  EXPECT_EQ(lines.size(), 6U);
  EXPECT_THAT(lines.back(), HasSubstr("more of it is not told"));
}

TEST(TextTimeline, PipesAreToldWhenAnotherProcessGetsThem) {
  EventScript script = one_process();
  const auto pipe = [&](double ms, std::uint64_t inode) {
    script.call(ms, ms, 10, 10, "pipe2", {0x7000, 0}, 0, {},
                {fd_entry(5, ResourceKind::kPipe, inode, FdMode::kRead),
                 fd_entry(6, ResourceKind::kPipe, inode, FdMode::kWrite)});
  };
  pipe(1, 100);
  script.call(2, 2, 10, 10, "close", {5}, 0).call(2, 2, 10, 10, "close", {6}, 0);
  pipe(3, 200);  // the same numbers, another pipe
  script.made(4, 10, 10, 20, NewTaskKind::kFork);
  EXPECT_THAT(lines_of(script),
              ElementsAre(HasSubstr("found"),
                          HasSubstr("forks P2 (pid 20) with pipe:200 (read end 5, write end 6)")));
}

// ---- output -------------------------------------------------------------------------------------

TEST(TextTimeline, OutputIsToldLineByLine) {
  EventScript script = one_process();
  say(script, 10, "All ");
  say(script, 20, "done!\nGood");
  say(script, 30, "bye!\n\n");
  say(script, 40, "oops\n", 10, 2);
  EXPECT_THAT(lines_of(script),
              ElementsAre(HasSubstr("found"), HasSubstr("says \"All done!\""),
                          HasSubstr("says \"Goodbye!\""), HasSubstr("says \"oops\"")));
}

TEST(TextTimeline, OutputToAnotherProcessSaysSo) {
  EventScript script = one_process();
  script.made(1, 10, 10, 20, NewTaskKind::kFork).call(2, 3, 20, 20, "dup2", {4, 1}, 1);
  script.call(4, 5, 20, 20, "close", {3}, 0);
  say(script, 10, "result\n", 20, 1);
  say(script, 11, "error\n", 20, 2);
  say(script, 12, "half", 20, 1);
  script.add(20, 20, 20, model::TaskExit{});
  EXPECT_THAT(lines_of(script),
              ElementsAre(HasSubstr("found"), HasSubstr("forks"),
                          HasSubstr("says to P1 \"result\""), HasSubstr("says on stderr \"error\""),
                          HasSubstr("says to P1 \"half\""), HasSubstr("exits")));
}

TEST(TextTimeline, AFloodIsThinnedAndItsLastLineKept) {
  EventScript script = one_process();
  for (int i = 0; i < 500; ++i) say(script, 10 + i, "line " + std::to_string(i) + "\n");
  const Lines lines = lines_of(script);
  ASSERT_GE(lines.size(), 12U);
  EXPECT_LE(lines.size(), 14U);
  EXPECT_THAT(lines[10], HasSubstr("says \"line 9\""));
  EXPECT_THAT(lines.back(), HasSubstr("line 499\""));
}

// ---- levels -------------------------------------------------------------------------------------

TEST(TextTimeline, LevelsAndTheTraceSet) {
  EventScript script = one_process();
  script.call(1, 1, 10, 10, "getpid", {}, 10).call(2, 2, 10, 10, "close", {9}, -EBADF);
  say(script, 3, "hi\n");
  EXPECT_THAT(lines_of(script), ElementsAre(HasSubstr("found"), HasSubstr("says \"hi\"")));
  EXPECT_THAT(
      lines_of(script, at_level(TimelineLevel::kCalls)),
      ElementsAre(HasSubstr("found"), HasSubstr("close(9) = EBADF"), HasSubstr("says \"hi\"")));
  EXPECT_THAT(lines_of(script, at_level(TimelineLevel::kAll)),
              ElementsAre(HasSubstr("found"), HasSubstr("getpid() = P1"), HasSubstr("close(9)"),
                          HasSubstr("says"), HasSubstr("write(1</dev/pts/0>, \"hi\\n\", 3) = 3")));
  TimelineOptions options = at_level(TimelineLevel::kAll);
  options.trace = syscalls::TraceSet::none();
  options.trace->add(syscalls::Sys::close);
  EXPECT_THAT(lines_of(script, options),
              ElementsAre(HasSubstr("found"), HasSubstr("close(9)"), HasSubstr("says \"hi\"")));
}

// ---- findings -----------------------------------------------------------------------------------

TEST(TextTimeline, FindingIsToldInFullOnce) {
  Lines lines;
  TextTimeline timeline({}, EventScript::kStart,
                        [&](std::string_view line) { lines.emplace_back(line); });
  for (const model::Event& event : test::birth_case().events()) {
    if (event.at < EventScript::at_ms(1262)) timeline.on_event(event);
  }
  lines.clear();
  model::FindingRecord record = test::birth_finding();
  timeline.finding(record);
  EXPECT_GT(lines.size(), 5U);
  EXPECT_THAT(lines[0], AllOf(StartsWith("    1.262  P2.T2   4712/4714    STUCK until its "
                                         "time-out, at most 3.8 s: ")));
  lines.clear();
  record.finding.certainty = model::Certainty::kProven;
  timeline.finding(record);
  EXPECT_THAT(lines[0], HasSubstr("STUCK (proven): "));
  EXPECT_LE(lines.size(), 4U);  // the sentence alone, wrapped
  lines.clear();
  record.resolved_at = EventScript::at_ms(5003);
  timeline.finding(record);
  EXPECT_THAT(lines, ElementsAre("    5.003  P2.T2   4712/4714    WAS STUCK for 4.9 s"));
  lines.clear();
  record.stalled_since = EventScript::at_ms(4000);  // one never told before
  timeline.finding(record);
  EXPECT_THAT(lines[0], HasSubstr("WAS STUCK for 1 s: P2 python3 (pid 4712) said"));
}

// ---- hostile ------------------------------------------------------------------------------------

TEST(TextTimeline, NothingFromOutsideReachesTheTerminalRaw) {
  const std::string evil =
      "\x1b]0;owned\x07\nP9.T9 fake line\r\x9b"
      "31m\xff";
  model::TaskSeen seen;
  seen.comm = evil;
  seen.exe = evil;
  seen.at_attach = true;
  seen.argv = {evil, "a b'c"};
  seen.fds = {fd_entry(1, ResourceKind::kRegularFile, 3, FdMode::kWrite, evil),
              fd_entry(3, ResourceKind::kFifo, 4, FdMode::kRead, evil)};
  EventScript script;
  script.seen(0, 10, 10, seen);
  seen.argv.clear();
  script.seen(0, 12, 12, seen).seen(0, 12, 13, seen);
  script.add(1, 10, 10, model::Exec{Tid{}, evil, {evil}, {}});
  script.call(2, 200, 10, 10, "read", {3, 0x1000, 50}, 50, {{0x1000, evil}});
  script.call(210, 211, 10, 10, "openat", {~99ULL, 0x2000, 0}, -ENOENT, {{0x2000, evil + '\0'}});
  say(script, 300, evil + "\n");
  script.add(301, 10, 10, model::Note{evil}).add(302, 10, 10, model::Lost{1, evil});
  script.add(303, 10, 10, model::Detached{evil});
  for (const auto level : {TimelineLevel::kStory, TimelineLevel::kAll}) {
    Lines lines = lines_of(script, at_level(level));
    EXPECT_GT(lines.size(), 7U);
    TextTimeline timeline(at_level(level), EventScript::kStart,
                          [&](std::string_view line) { lines.emplace_back(line); });
    model::FindingRecord record = test::birth_finding();
    record.finding.headline = record.finding.remedy = record.resolved_by = evil;
    for (model::ChainLink& link : record.finding.chain) link.who = link.what = link.on = evil;
    timeline.finding(record);
    record.resolved_at = EventScript::at_ms(9000);
    timeline.finding(record);
    timeline.note(EventScript::at_ms(1), evil);
    for (const std::string& line : lines) {
      EXPECT_TRUE(test::terminal_safe(line)) << line;
      EXPECT_THAT(line, Not(HasSubstr("\n")));
    }
  }
}

}  // namespace
}  // namespace stucktrace::render
