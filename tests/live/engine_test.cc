#include <fmt/format.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <map>
#include <set>
#include <thread>

#include "tests/live/tracee_fixture.h"

// Real tracees in every engine mode. The rule throughout: what a program prints and how it ends is
// the same with and without the tracer.

namespace stucktrace::test {
namespace {

using model::Event;

class EngineTest : public testing::TestWithParam<Mode> {
 protected:
  // Lines without numbers that differ from run to run (pids).
  static std::string without_numbers(const std::string& text) {
    std::string result;
    for (const char c : text) {
      const bool digit = c >= '0' && c <= '9';
      if (!digit) {
        result += c;
      } else if (result.empty() || result.back() != '#') {
        result += '#';
      }
    }
    return result;
  }
};

INSTANTIATE_TEST_SUITE_P(Modes, EngineTest, testing::ValuesIn(kAllModes),
                         [](const auto& mode) { return std::string{name_of(mode.param)}; });

TEST_P(EngineTest, VforkAndExecLookTheSame) {
  const std::vector<std::string> words{target_path("vfork_exec"), "3"};
  const RunResult native = run_native(words);
  const TracedRun traced = run_traced(words, GetParam());
  ASSERT_FALSE(traced.timed_out);
  EXPECT_EQ(traced.status, native.status);
  EXPECT_EQ(without_numbers(traced.output), without_numbers(native.output));
  std::size_t vforks = 0;
  for (const Event& event : traced.events.all<model::NewTask>()) {
    if (std::get<model::NewTask>(event.data).kind == model::NewTaskKind::kVfork) ++vforks;
  }
  EXPECT_EQ(vforks, 3U);
  std::size_t execs = 0;
  for (const Event& event : traced.events.all<model::Exec>()) {
    if (std::get<model::Exec>(event.data).exe.ends_with("/true")) ++execs;
  }
  EXPECT_EQ(execs, 3U);
}

TEST_P(EngineTest, ExecFromAnyThreadKeepsThePid) {
  const std::vector<std::string> words{target_path("exec_from_thread")};
  const RunResult native = run_native(words);
  const TracedRun traced = run_traced(words, GetParam());
  ASSERT_FALSE(traced.timed_out);
  EXPECT_EQ(traced.status, native.status);
  EXPECT_EQ(without_numbers(traced.output), without_numbers(native.output));
  bool from_thread = false;
  for (const Event& event : traced.events.all<model::Exec>()) {
    from_thread |= std::get<model::Exec>(event.data).former_tid != event.tid;
  }
  EXPECT_TRUE(from_thread);
}

TEST_P(EngineTest, JobControlStopsAndContinues) {
  const std::vector<std::string> words{target_path("group_stop"), "1"};
  const RunResult native = run_native(words);
  const TracedRun traced = run_traced(words, GetParam());
  ASSERT_FALSE(traced.timed_out);
  EXPECT_EQ(traced.status, native.status);
  // Whether the parent sees "continued" before the next stop is a race without a tracer as well.
  const auto stops_only = [](std::string text) {
    for (std::size_t at = 0; (at = text.find("continued\n")) != std::string::npos;) {
      text.erase(at, std::string_view{"continued\n"}.size());
    }
    return text;
  };
  EXPECT_EQ(stops_only(traced.output), stops_only(native.output));
  EXPECT_FALSE(traced.events.all<model::GroupStop>().empty());
  EXPECT_FALSE(traced.events.all<model::Continued>().empty());
}

TEST_P(EngineTest, StormsOfTasksAreFollowedCompletely) {
  const std::vector<std::string> words{target_path("clone_storm"), "200", "20"};
  const RunResult native = run_native(words);
  const TracedRun traced = run_traced(words, GetParam());
  ASSERT_FALSE(traced.timed_out);
  EXPECT_EQ(traced.status, native.status);
  EXPECT_EQ(traced.output, native.output);
  std::map<base::Tid, int> alive;
  std::size_t made = 0;
  for (const Event& event : traced.events.events) {
    if (std::holds_alternative<model::TaskSeen>(event.data)) ++alive[event.tid];
    if (std::holds_alternative<model::NewTask>(event.data)) ++made;
    if (std::holds_alternative<model::TaskExit>(event.data)) --alive[event.tid];
  }
  EXPECT_GE(made, 220U);
  for (const auto& [tid, count] : alive) EXPECT_EQ(count, 0) << "task " << tid.value();
}

TEST_P(EngineTest, EverySyscallExitBelongsToAnEnter) {
  const TracedRun traced = run_traced({target_path("vfork_exec"), "2"}, GetParam());
  ASSERT_FALSE(traced.timed_out);
  std::map<base::Tid, std::int64_t> open;
  for (const Event& event : traced.events.events) {
    if (const auto* enter = std::get_if<model::SyscallEnter>(&event.data)) {
      open[event.tid] = enter->call.number;
    } else if (const auto* exit = std::get_if<model::SyscallExit>(&event.data)) {
      const auto at = open.find(event.tid);
      ASSERT_NE(at, open.end()) << "exit of call " << exit->call.number << " without an enter";
      EXPECT_EQ(at->second, exit->call.number);
      open.erase(at);
    }
  }
}

TEST_P(EngineTest, SequenceAndTimeNeverGoBack) {
  const TracedRun traced = run_traced({target_path("vfork_exec"), "2"}, GetParam());
  const auto& events = traced.events.events;
  ASSERT_FALSE(events.empty());
  for (std::size_t i = 1; i < events.size(); ++i) {
    EXPECT_EQ(events[i].sequence, events[i - 1].sequence + 1);
    EXPECT_GE(events[i].at, events[i - 1].at);
  }
}

// A maker's event may come later than anybody waits for it: on a busy machine, or when it dies.
TEST_P(EngineTest, TasksThatWentOnBeforeTheirMakersEventAreCountedOnce) {
  engine::TracerOptions options;
  options.hold_limit = base::Nanoseconds{0};
  options.tick = std::chrono::milliseconds{1};
  const std::vector<std::string> words{target_path("clone_storm"), "500", "50"};
  const RunResult native = run_native(words);
  const TracedRun traced = run_traced(words, GetParam(), options);
  ASSERT_FALSE(traced.timed_out);
  EXPECT_EQ(traced.status, native.status);
  EXPECT_EQ(traced.output, native.output);
  std::map<base::Tid, int> alive;
  for (const Event& event : traced.events.events) {
    if (std::holds_alternative<model::TaskSeen>(event.data)) ++alive[event.tid];
    if (std::holds_alternative<model::TaskExit>(event.data)) --alive[event.tid];
  }
  for (const auto& [tid, count] : alive) EXPECT_EQ(count, 0) << "task " << tid.value();
}

TEST_P(EngineTest, TasksThatWentOnBeforeTheirMakersEventAreStoppedByWhatStopsThem) {
  engine::TracerOptions options;
  options.hold_limit = base::Nanoseconds{0};
  options.tick = std::chrono::milliseconds{1};
  const std::vector<std::string> words{target_path("jobs"), "control", "20", "2"};
  const RunResult native = run_native(words);
  const TracedRun traced = run_traced(words, GetParam(), options);
  ASSERT_FALSE(traced.timed_out);
  EXPECT_EQ(traced.status, native.status);
  EXPECT_EQ(traced.output, native.output);
}

// ---- attach leaves the tree as found -----------------------------------------------------------

class AttachTest : public testing::TestWithParam<kernel::TraceStyle> {
 protected:
  engine::TracerOptions options() const {
    engine::TracerOptions options;
    options.style = GetParam();
    return options;
  }
  base::SystemClock clock_;
  Collector events_;
  NoLog log_;
};

INSTANTIATE_TEST_SUITE_P(Styles, AttachTest,
                         testing::Values(kernel::TraceStyle::kSeize, kernel::TraceStyle::kAttach),
                         [](const auto& style) {
                           return style.param == kernel::TraceStyle::kSeize ? "Seize" : "Attach";
                         });

TEST_P(AttachTest, ASleepIsNotCutShort) {
  Target target({target_path("sleeper"), "1"});
  ASSERT_TRUE(target.wait_ready());
  {
    engine::Tracer tracer(options(), clock_, events_, log_);
    ASSERT_TRUE(tracer.attach(target.pid()));
    Until at_once([] { return true; });
    ASSERT_TRUE(tracer.run(at_once));
  }
  EXPECT_EQ(status_field(target.pid(), "TracerPid"), "0");
  EXPECT_NE(target.read_to_end().find("slept whole"), std::string::npos);
  EXPECT_EQ(target.wait(), 0);
}

// execve(2) waits till the ends of the other threads are taken, by their tracer: by us, who wait
// for it to attach.
TEST_P(AttachTest, AnExecThatWaitsForUsGoesOn) {
  Target target({target_path("exec_from_thread"), target_path("sleeper"), "1"});
  ASSERT_TRUE(target.wait_ready());
  const auto threads = kernel::Procfs().tasks(target.pid());
  ASSERT_TRUE(threads);
  ASSERT_EQ(threads->size(), 2U);
  const base::Tid bystander =
      threads->back() == base::main_thread(target.pid()) ? threads->front() : threads->back();
  ASSERT_TRUE(kernel::seize(bystander));
  target.go();
  siginfo_t ended{};
  ASSERT_EQ(
      ::waitid(P_PID, static_cast<id_t>(bystander.value()), &ended, WEXITED | WNOWAIT | __WALL), 0);
  engine::Tracer tracer(options(), clock_, events_, log_);
  const auto attached = tracer.attach(target.pid());
  ASSERT_TRUE(attached) << attached.error().message();
  EXPECT_NE(status_field(target.pid(), "TracerPid"), "0");
  bool told = false;
  for (const Event& event : events_.all<model::TaskSeen>()) {
    told |= std::get<model::TaskSeen>(event.data).exe.ends_with("/sleeper");
  }
  EXPECT_TRUE(told);
  Until at_once([] { return true; });
  ASSERT_TRUE(tracer.run(at_once));
  EXPECT_EQ(status_field(target.pid(), "TracerPid"), "0");
  EXPECT_NE(target.read_to_end().find("slept whole"), std::string::npos);
  EXPECT_EQ(target.wait(), 0);
}

TEST_P(AttachTest, ManyAttachmentsInARowLeaveNoTrace) {
  Target target({target_path("thread_ring"), "8"});
  ASSERT_TRUE(target.wait_ready());
  for (int round = 0; round < 30; ++round) {
    engine::Tracer tracer(options(), clock_, events_, log_);
    ASSERT_TRUE(tracer.attach(target.pid())) << "round " << round;
    Until at_once([] { return true; });
    const auto outcome = tracer.run(at_once);
    ASSERT_TRUE(outcome);
    EXPECT_TRUE(outcome->detached);
    EXPECT_EQ(outcome->left_behind, 0U);
    ASSERT_EQ(status_field(target.pid(), "TracerPid"), "0");
    ASSERT_EQ(status_field(target.pid(), "State").find('T'), std::string::npos);
  }
  target.close_stdin();
  EXPECT_NE(target.read_to_end().find("passed"), std::string::npos);
  EXPECT_EQ(target.wait(), 0);
}

TEST_P(AttachTest, AStoppedProcessStaysStopped) {
  Target target({target_path("sleeper"), "60"});
  ASSERT_TRUE(target.wait_ready());
  ::kill(target.pid().value(), SIGSTOP);
  ASSERT_TRUE(eventually([&] { return status_field(target.pid(), "State").starts_with("T"); }));
  {
    engine::Tracer tracer(options(), clock_, events_, log_);
    ASSERT_TRUE(tracer.attach(target.pid()));
    Until seen_stopped([&] { return !events_.all<model::GroupStop>().empty(); });
    ASSERT_TRUE(tracer.run(seen_stopped));
    EXPECT_FALSE(seen_stopped.timed_out);
  }
  EXPECT_TRUE(eventually([&] { return status_field(target.pid(), "State").starts_with("T (s"); }))
      << status_field(target.pid(), "State");
  EXPECT_EQ(status_field(target.pid(), "TracerPid"), "0");
  ::kill(target.pid().value(), SIGCONT);
  EXPECT_TRUE(eventually([&] { return status_field(target.pid(), "State").starts_with("S"); }));
}

TEST_P(AttachTest, AStopWhileTracedEndsWithSigcont) {
  Target target({target_path("sleeper"), "60"});
  ASSERT_TRUE(target.wait_ready());
  engine::Tracer tracer(options(), clock_, events_, log_);
  ASSERT_TRUE(tracer.attach(target.pid()));
  bool sent_stop = false;
  bool sent_continue = false;
  Until continued([&] {
    if (!std::exchange(sent_stop, true)) ::kill(target.pid().value(), SIGSTOP);
    if (!sent_continue && !events_.all<model::GroupStop>().empty()) {
      sent_continue = true;
      ::kill(target.pid().value(), SIGCONT);
    }
    return !events_.all<model::Continued>().empty();
  });
  ASSERT_TRUE(tracer.run(continued));
  EXPECT_FALSE(continued.timed_out);
  EXPECT_TRUE(eventually([&] { return status_field(target.pid(), "State").starts_with("S"); }));
}

// SIGCONT takes a SIGSTOP away that has not been taken yet, and PTRACE_ATTACH stops by one.
TEST_P(AttachTest, ASigcontAtTheSameMomentDisturbsNothing) {
  Target target({target_path("thread_ring"), "8"});
  ASSERT_TRUE(target.wait_ready());
  std::jthread sender([&](const std::stop_token& enough) {
    while (!enough.stop_requested()) {
      ::kill(target.pid().value(), SIGCONT);
      ::poll(nullptr, 0, 1);  // so that a stop has a chance
    }
  });
  for (int round = 0; round < 40; ++round) {
    engine::Tracer tracer(options(), clock_, events_, log_);
    ASSERT_TRUE(tracer.attach(target.pid())) << "round " << round;
    Until at_once([] { return true; });
    const auto outcome = tracer.run(at_once);
    ASSERT_TRUE(outcome);
    ASSERT_EQ(outcome->left_behind, 0U) << "round " << round;
    ASSERT_EQ(status_field(target.pid(), "TracerPid"), "0") << "round " << round;
  }
  sender.request_stop();
  sender.join();
  ASSERT_TRUE(eventually([&] { return !status_field(target.pid(), "State").starts_with("T"); }));
  target.close_stdin();
  EXPECT_NE(target.read_to_end().find("passed"), std::string::npos);
  EXPECT_EQ(target.wait(), 0);
}

TEST_P(AttachTest, EveryThreadIsAttachedAndLetGo) {
  Target target({target_path("thread_ring"), "32"});
  ASSERT_TRUE(target.wait_ready());
  {
    engine::Tracer tracer(options(), clock_, events_, log_);
    ASSERT_TRUE(tracer.attach(target.pid()));
    Until at_once([] { return true; });
    ASSERT_TRUE(tracer.run(at_once));
  }
  std::set<base::Tid> seen;
  for (const Event& event : events_.all<model::TaskSeen>()) seen.insert(event.tid);
  EXPECT_GE(seen.size(), 33U);
  EXPECT_EQ(events_.all<model::Detached>().size(), seen.size());
}

TEST_P(AttachTest, ACallInProgressIsKnownAtOnce) {
  Target target({target_path("sleeper"), "60"});
  ASSERT_TRUE(target.wait_ready());
  ASSERT_TRUE(eventually([&] { return status_field(target.pid(), "State").starts_with("S"); }));
  engine::Tracer tracer(options(), clock_, events_, log_);
  ASSERT_TRUE(tracer.attach(target.pid()));
  Until known([&] { return !events_.all<model::SyscallEnter>().empty(); });
  ASSERT_TRUE(tracer.run(known));
  ASSERT_FALSE(known.timed_out);
  bool open_sleep = false;
  for (const Event& event : events_.all<model::SyscallEnter>()) {
    const auto& enter = std::get<model::SyscallEnter>(event.data);
    const syscalls::Sys sys = syscalls::sys_of(enter.call.abi, enter.call.number);
    open_sleep |= enter.open_at_attach &&
                  (sys == syscalls::Sys::clock_nanosleep || sys == syscalls::Sys::poll);
  }
  EXPECT_TRUE(open_sleep);
}

TEST_P(AttachTest, NoSuchProcessIsAnError) {
  const pid_t gone = ::fork();
  if (gone == 0) ::_exit(0);
  ::waitpid(gone, nullptr, 0);
  engine::Tracer tracer(options(), clock_, events_, log_);
  const auto attached = tracer.attach(base::Pid{gone});
  ASSERT_FALSE(attached);
  EXPECT_EQ(attached.error().kind, base::ErrorKind::kGone);
}

// ---- a dying tracer
// ------------------------------------------------------------------------------

TEST(TracerDeath, ASeizedTreeGoesOn) {
  Target target({target_path("thread_ring"), "8"});
  ASSERT_TRUE(target.wait_ready());
  for (int round = 0; round < 10; ++round) {
    int ready[2];
    ASSERT_EQ(::pipe(ready), 0);
    const pid_t tracer_pid = ::fork();
    if (tracer_pid == 0) {
      ::close(ready[0]);
      const base::SystemClock clock;
      Collector events;
      NoLog log;
      engine::Tracer tracer({}, clock, events, log);
      bool told = false;
      Until forever([&] {
        if (!std::exchange(told, true)) {
          [[maybe_unused]] const ssize_t n = ::write(ready[1], "r", 1);
        }
        return false;
      });
      if (tracer.attach(target.pid())) static_cast<void>(tracer.run(forever));
      ::_exit(0);
    }
    ::close(ready[1]);
    char byte = 0;
    EXPECT_EQ(::read(ready[0], &byte, 1), 1) << "the tracer attached";
    ::close(ready[0]);
    ::kill(tracer_pid, SIGKILL);
    ::waitpid(tracer_pid, nullptr, 0);
    EXPECT_EQ(status_field(target.pid(), "TracerPid"), "0");
    EXPECT_EQ(status_field(target.pid(), "State").find('T'), std::string::npos);
  }
  target.close_stdin();
  EXPECT_NE(target.read_to_end().find("passed"), std::string::npos);
  EXPECT_EQ(target.wait(), 0);
}

}  // namespace
}  // namespace stucktrace::test
