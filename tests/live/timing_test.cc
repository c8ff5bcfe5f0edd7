#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <set>
#include <sstream>

#include "tests/live/same_as_native.h"

// No call ends because of us, and no clock runs differently (target/timers.cc,
// target/blocked_io.cc, target/blocked_waits.cc).

namespace stucktrace::test {
namespace {

class TimingTest : public TransparencyTest {
 protected:
  bool attaches() const { return GetParam() == Mode::kSeize || GetParam() == Mode::kAttach; }
};
INSTANTIATE_TEST_SUITE_P(Modes, TimingTest, testing::ValuesIn(kTransparentModes), mode_name);

TEST_P(TimingTest, TimersCountWithTheClock) {
  same_as_native({"timers", "clocks"});
}

TEST_P(TimingTest, NoCallOfATracedProgramIsInterrupted) {
  same_as_native({"timers", "eintr"});
}

// An untraced task is not even woken by them.
TEST_P(TimingTest, SignalsThatAreIgnoredInterruptNothing) {
  same_as_native({"timers", "ignored"});
}

TEST_P(TimingTest, LimitedWaitsLastAsLongAsTheyShould) {
  same_as_native({"timers", "restarts"});
}

TEST_P(TimingTest, CallsBegunUnderTheTracerWaitForWhatTheyWaitFor) {
  if (attaches()) GTEST_SKIP() << "what an attach interrupts is measured below";
  same_as_native({"blocked_io"});
  same_as_native({"blocked_waits"});
}

// Calls that Linux ends with EINTR on any wake-up, with no signal handler about (signal(7),
// "Interruption of system calls and library functions by stop signals"). An attach wakes them just
// as job control does. Those without a time-out are made to begin anew; the others a program has to
// expect it of, and of these alone: every other call is promised to go on.
const std::set<std::string> kEndedByAttaching = {
    "recv with SO_RCVTIMEO",
    "send with SO_SNDTIMEO",
    "accept with SO_RCVTIMEO",
    "epoll_wait with time-out",
    "epoll_pwait2",
    "semtimedop",
    "sigtimedwait",
};
const std::set<std::string> kEndedByAnyStop = {
    "recv with SO_RCVTIMEO",
    "send with SO_SNDTIMEO",
    "accept with SO_RCVTIMEO",
    "epoll_wait",
    "epoll_wait with time-out",
    "epoll_pwait",
    "epoll_pwait2",
    "semop",
    "semtimedop",
    "sigwaitinfo",
    "sigtimedwait",
    "io_getevents",
    "io_uring_enter",
};

// Names of the calls that ended early; those that failed otherwise are failures here.
std::set<std::string> ended_early(const std::string& output) {
  std::set<std::string> names;
  std::istringstream lines(output);
  std::size_t calls = 0;
  for (std::string line; std::getline(lines, line);) {
    calls += line.ends_with(" waited") ? 1U : 0U;
    const std::size_t at = line.find(" ended early: -1 errno 4");
    if (at != std::string::npos) {
      names.insert(line.substr(0, at));
    } else {
      EXPECT_TRUE(line == "ready" || line.ends_with(" waited")) << line;
    }
  }
  EXPECT_GT(calls, 10U) << output;
  return names;
}

void expect_only(const std::set<std::string>& known, const std::set<std::string>& early) {
  for (const std::string& name : early) {
    EXPECT_TRUE(known.contains(name)) << name << " ended because of us";
  }
}

class OpenCallsTest : public testing::TestWithParam<kernel::TraceStyle> {
 protected:
  void attach_and_leave(base::Pid pid) {
    const base::SystemClock clock;
    Collector events;
    NoLog log;
    engine::TracerOptions options;
    options.style = GetParam();
    engine::Tracer tracer(options, clock, events, log);
    ASSERT_TRUE(tracer.attach(pid));
    Until at_once([] { return true; });
    ASSERT_TRUE(tracer.run(at_once));
  }
};
INSTANTIATE_TEST_SUITE_P(Styles, OpenCallsTest,
                         testing::Values(kernel::TraceStyle::kSeize, kernel::TraceStyle::kAttach),
                         [](const auto& style) {
                           return style.param == kernel::TraceStyle::kSeize ? "Seize" : "Attach";
                         });

TEST_P(OpenCallsTest, OnlyWhatAnyStopEndsIsEndedByAttaching) {
  for (const char* program : {"blocked_io", "blocked_waits"}) {
    Target target({target_path(program)});
    ASSERT_TRUE(target.wait_ready());
    for (int i = 0; i < 3; ++i) attach_and_leave(target.pid());
    target.close_stdin();
    expect_only(kEndedByAttaching, ended_early(target.read_to_end()));
    EXPECT_EQ(target.wait(), 0);
  }
}

TEST_P(OpenCallsTest, LimitedWaitsAreRestartedForTheRestOfTheirTime) {
  Target target({target_path("timers"), "restarts", "1500"});
  ASSERT_TRUE(target.wait_ready());
  // If each attach began a wait anew, none would end while this goes on.
  for (int i = 0; i < 1000 && status_field(target.pid(), "Threads") != "1"; ++i) {
    attach_and_leave(target.pid());
  }
  EXPECT_EQ(status_field(target.pid(), "Threads"), "1") << "the waits have ended";
  target.close_stdin();
  EXPECT_EQ(target.read_to_end(),
            "ready\npoll whole\nnanosleep whole\nclock_nanosleep whole\nfutex whole\n"
            "pselect whole\n");
  EXPECT_EQ(target.wait(), 0);
}

TEST_P(OpenCallsTest, BriefWaitsAreNotInterruptedByAttachingAgainAndAgain) {
  Target target({target_path("timers"), "eintr", "200"});
  ASSERT_TRUE(target.wait_ready());
  target.go();
  const auto threads = [&] { return status_field(target.pid(), "Threads"); };
  ASSERT_TRUE(eventually([&] { return threads() != "1"; }));
  int attached = 0;
  for (; attached < 5000 && threads() != "1"; ++attached) attach_and_leave(target.pid());
  EXPECT_GT(attached, 3);
  target.close_stdin();
  EXPECT_EQ(target.read_to_end(),
            "ready\npoll EINTR 0\nepoll_wait EINTR 0\nnanosleep EINTR 0\nsemtimedop EINTR 0\n"
            "sigtimedwait EINTR 0\n");
  EXPECT_EQ(target.wait(), 0);
}

TEST(StopSignals, EndTheVeryCallsThatAttachingMayEnd) {
  std::set<std::string> early;
  for (const char* program : {"blocked_io", "blocked_waits"}) {
    Target target({target_path(program)});
    ASSERT_TRUE(target.wait_ready());
    ::kill(target.pid().value(), SIGSTOP);
    ASSERT_TRUE(eventually([&] { return status_field(target.pid(), "State").starts_with("T"); }));
    ::kill(target.pid().value(), SIGCONT);
    target.close_stdin();
    early.merge(ended_early(target.read_to_end()));
    EXPECT_EQ(target.wait(), 0);
  }
  // Not every kernel has each of the calls.
  expect_only(kEndedByAnyStop, early);
  EXPECT_TRUE(early.contains("epoll_wait"));
  EXPECT_TRUE(early.contains("semop"));
}

}  // namespace
}  // namespace stucktrace::test
