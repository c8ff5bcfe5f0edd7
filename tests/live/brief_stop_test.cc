#include "tracer/kernel/brief_stop.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>

#include <chrono>
#include <csignal>

#include "tests/live/tracee_fixture.h"
#include "tracer/kernel/procfs.h"

// One thread is stopped and let go as it was found.

namespace stucktrace::test {
namespace {

using kernel::StandingRegisters;

char state_of(base::Pid pid) {
  const auto stat = kernel::Procfs().stat(pid, std::nullopt);
  return stat ? stat->state : '?';
}

TEST(BriefStop, ARunningThreadIsSeenAndRunsOn) {
  Target target({target_path("spin"), "1"});
  ASSERT_TRUE(target.wait_ready());
  const auto threads = kernel::Procfs().tasks(target.pid());
  ASSERT_TRUE(threads);
  ASSERT_EQ(threads->size(), 2U);
  for (const base::Tid tid : *threads) {
    StandingRegisters seen;
    ASSERT_TRUE(kernel::with_stopped(tid, [&](const StandingRegisters& at) {
      seen = at;
      const auto status = kernel::Procfs().status(target.pid(), tid);
      ASSERT_TRUE(status);
      EXPECT_NE(status->tracer, 0);
    }));
    EXPECT_NE(seen.program_counter, 0U);
    EXPECT_NE(seen.stack_pointer, 0U);
    const auto status = kernel::Procfs().status(target.pid(), tid);
    ASSERT_TRUE(status);
    EXPECT_EQ(status->tracer, 0);
  }
  target.close_stdin();
  EXPECT_EQ(target.wait(), 0);
}

TEST(BriefStop, AStoppedProcessStaysStopped) {
  Target target({target_path("spin"), "1"});
  ASSERT_TRUE(target.wait_ready());
  ASSERT_EQ(::kill(target.pid().value(), SIGSTOP), 0);
  int status = 0;
  ASSERT_EQ(::waitpid(target.pid().value(), &status, WUNTRACED), target.pid().value());
  ASSERT_TRUE(WIFSTOPPED(status));
  EXPECT_TRUE(kernel::with_stopped(base::main_thread(target.pid()), [](const auto&) {}));
  // It goes back to its stop by itself, a moment later.
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds{20};
  while (state_of(target.pid()) != 'T' && std::chrono::steady_clock::now() < until) ::sched_yield();
  EXPECT_EQ(state_of(target.pid()), 'T');
  ::kill(target.pid().value(), SIGCONT);
  target.close_stdin();
  EXPECT_EQ(target.wait(), 0);
}

TEST(BriefStop, ASignalThatCameMeanwhileArrives) {
  Target target({target_path("spin"), "1"});
  ASSERT_TRUE(target.wait_ready());
  // Another thread may take it: then there is nothing left to let go.
  static_cast<void>(kernel::with_stopped(base::main_thread(target.pid()), [&](const auto&) {
    EXPECT_EQ(::kill(target.pid().value(), SIGTERM), 0);
  }));
  const int status = target.wait();
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM) << status;
}

TEST(BriefStop, NobodyThereIsSaid) {
  const auto result = kernel::with_stopped(base::Tid{0x3ffffff}, [](const auto&) { FAIL(); });
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, base::ErrorKind::kGone);
}

TEST(BriefStop, OurOwnThreadIsRefused) {
  const auto result =
      kernel::with_stopped(base::main_thread(base::Pid{::getpid()}), [](const auto&) { FAIL(); });
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, base::ErrorKind::kDenied);
}

}  // namespace
}  // namespace stucktrace::test
