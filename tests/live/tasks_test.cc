#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <map>

#include "tests/live/same_as_native.h"

// Tasks made, stopped and ended in every unusual way (target/tasks.cc, target/jobs.cc).

namespace stucktrace::test {
namespace {

class TasksTest : public TransparencyTest {};
INSTANTIATE_TEST_SUITE_P(Modes, TasksTest, testing::ValuesIn(kTransparentModes), mode_name);

TEST_P(TasksTest, ExecFromAnyThreadWithOthersInAnyState) {
  const TracedRun traced = same_as_native({"tasks", "exec_any"});
  // No thread that exec ended is thought to live on.
  std::map<base::Tid, int> alive;
  for (const model::Event& event : traced.events.events) {
    if (std::holds_alternative<model::TaskExit>(event.data)) alive.erase(event.tid);
    if (std::holds_alternative<model::TaskSeen>(event.data)) alive[event.tid] = event.pid.value();
    if (!std::holds_alternative<model::Exec>(event.data)) continue;
    std::erase_if(alive, [&](const auto& task) {
      return task.second == event.pid.value() && task.first != event.tid;
    });
  }
  for (const auto& [tid, pid] : alive) {
    ADD_FAILURE() << "task " << tid.value() << " of " << pid << " is thought to live on";
    for (const model::Event& event : traced.events.events) {
      if (event.tid == tid)
        ADD_FAILURE() << "event " << event.sequence << " kind " << event.data.index();
    }
  }
}

TEST_P(TasksTest, StormsOfVforkAndSpawn) {
  same_as_native({"tasks", "spawns"});
}

TEST_P(TasksTest, OddCloneFlagsAndExitSignals) {
  same_as_native({"tasks", "clones"});
}

TEST_P(TasksTest, AnUntracedThreadThatExecs) {
  same_as_native({"tasks", "untraced_exec"});
}

TEST_P(TasksTest, ALeaderThatEndsFirst) {
  same_as_native({"tasks", "leader_exits"});
}

TEST_P(TasksTest, AProcessWhoseLeaderHasEnded) {
  const TracedRun traced = same_as_native({"tasks", "leaderless"});
  const auto execs = traced.events.all<model::Exec>();
  EXPECT_TRUE(std::ranges::any_of(execs, [](const model::Event& event) {
    return std::get<model::Exec>(event.data).former_tid != event.tid;
  }));
}

TEST_P(TasksTest, DeathsBetweenEventAndReaction) {
  same_as_native({"tasks", "early_deaths"});
}

TEST_P(TasksTest, AThousandLiveThreads) {
  same_as_native({"tasks", "live", "1000"});
}

TEST_P(TasksTest, TenThousandShortThreads) {
  same_as_native({"clone_storm", "10000", "100"});
}

TEST_P(TasksTest, DoubleForksDaemonsAndSubreapers) {
  same_as_native({"tasks", "daemons"});
}

TEST_P(TasksTest, JobControlIsReportedToTheParent) {
  same_as_native({"jobs", "control", "3", "10"});
}

TEST_P(TasksTest, AGroupStopTakesManyThreads) {
  same_as_native({"jobs", "control", "80", "1"});
}

TEST_P(TasksTest, AStoppedProcessExecs) {
  same_as_native({"jobs", "stopped_exec"});
}

TEST_P(TasksTest, AStoppedProcessIsKilled) {
  same_as_native({"jobs", "stopped_kill"});
}

// The tracer is not the parent and does not trace it: both are told of the child's stops.
class OtherParentTest : public testing::TestWithParam<kernel::TraceStyle> {};
INSTANTIATE_TEST_SUITE_P(Styles, OtherParentTest,
                         testing::Values(kernel::TraceStyle::kSeize, kernel::TraceStyle::kAttach),
                         [](const auto& style) {
                           return style.param == kernel::TraceStyle::kSeize ? "Seize" : "Attach";
                         });

TEST_P(OtherParentTest, AnUntracedParentSeesItsTracedChildsStops) {
  Target target({target_path("jobs"), "parent", "10"});
  ASSERT_TRUE(target.wait_ready());
  const std::string& said = target.said();
  int child = 0;
  std::from_chars(said.data() + said.find(' ') + 1, said.data() + said.size(), child);
  ASSERT_GT(child, 0) << said;
  const base::SystemClock clock;
  Collector events;
  NoLog log;
  engine::TracerOptions options;
  options.style = GetParam();
  engine::Tracer tracer(options, clock, events, log);
  ASSERT_TRUE(tracer.attach(base::Pid{child}));
  target.go();
  target.close_stdin();
  Until until;
  ASSERT_TRUE(tracer.run(until));
  EXPECT_FALSE(until.timed_out);
  std::string expected = fmt::format("child {}\nready\n", child);
  for (const int signo : {SIGSTOP, SIGTSTP}) {
    expected += fmt::format(
        "signal {0}: SIGCHLD code {1} status {0}\nsignal {0}: code {1} status {0}\n"
        "signal {0}: stands still\n"
        "signal {0}: SIGCHLD code {2} status {3}\nsignal {0}: code {2} status {3}\n",
        signo, CLD_STOPPED, CLD_CONTINUED, SIGCONT);
  }
  expected += fmt::format("end: code {} status 0\n", CLD_EXITED);
  EXPECT_EQ(target.read_to_end(), expected);
  EXPECT_EQ(target.wait(), 0);
}

}  // namespace
}  // namespace stucktrace::test
