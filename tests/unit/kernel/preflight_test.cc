#include "tracer/kernel/preflight.h"

#include <gtest/gtest.h>
#include <linux/capability.h>

#include "tests/support/fake_proc.h"

namespace stucktrace::kernel {
namespace {

constexpr Caller kUser{base::Pid{100}, 1000, 0, false};
constexpr Caller kRoot{base::Pid{100}, 0, 1ULL << CAP_SYS_PTRACE, false};

class PreflightTest : public testing::Test {
 protected:
  PreflightTest() {
    proc_.add({.pid = 1, .tid = 1, .comm = "init", .parent = 0});
    proc_.add({.pid = 90, .tid = 90, .comm = "shell", .uid = 1000});
    proc_.add({.pid = 100, .tid = 100, .comm = "stucktrace", .parent = 90, .uid = 1000});
  }
  PreflightReport check(int pid, const Caller& caller = kUser) const {
    return preflight(Procfs{proc_.root()}, base::Pid{pid}, caller);
  }
  // Refused, with these words in cause and remedy.
  static void expect_refused(const PreflightReport& report, const std::string& cause,
                             const std::string& remedy) {
    EXPECT_FALSE(report.can_trace);
    EXPECT_NE(report.cause.find(cause), std::string::npos) << report.cause;
    EXPECT_NE(report.remedy.find(remedy), std::string::npos) << report.remedy;
  }
  test::FakeProc proc_;
};

TEST_F(PreflightTest, AnOrdinaryProcessOfOnesOwn) {
  proc_.add({.pid = 42, .tid = 42, .uid = 1000});
  const PreflightReport report = check(42);
  EXPECT_TRUE(report.can_trace);
  EXPECT_TRUE(report.can_look);
  EXPECT_EQ(report.cause, "");
  EXPECT_FALSE(report.facts.empty());
}

TEST_F(PreflightTest, NothingToTrace) {
  expect_refused(check(43), "process 43 does not exist", "pgrep");
  EXPECT_FALSE(check(43).can_look);
  proc_.add({.pid = 44, .tid = 44, .state = 'Z', .parent = 90, .uid = 1000});
  expect_refused(check(44), "has ended", "stucktrace explain 90");
  proc_.add({.pid = 45, .tid = 45, .flags = 0x00200000});
  expect_refused(check(45, kRoot), "kernel thread", "");
  EXPECT_FALSE(check(45, kRoot).can_look);
  // A thread is reachable as /proc/TID too.
  proc_.add({.pid = 46, .tid = 46, .uid = 1000});
  proc_.write("47/stat", "47 (t) S 1 46 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 2 0 5");
  proc_.write("47/status", "Tgid:\t46\nUid:\t1000\n");
  expect_refused(check(47), "47 is a thread of process 46", "46");
}

TEST_F(PreflightTest, AMainThreadThatEndedIsNotTheEndOfTheProcess) {
  proc_.add({.pid = 44, .tid = 44, .state = 'Z', .uid = 1000, .thread_count = 3});
  EXPECT_TRUE(check(44).can_trace);
}

TEST_F(PreflightTest, NeverItselfAnAncestorOrItsTracer) {
  expect_refused(check(100), "cannot trace itself", "another process");
  expect_refused(check(90), "process 90 is an ancestor", "another terminal");
  proc_.add({.pid = 50, .tid = 50, .uid = 1000});
  proc_.add({.pid = 100, .tid = 100, .parent = 90, .tracer = 50, .uid = 1000});
  expect_refused(check(50), "process 50 is tracing stucktrace", "outside");
}

TEST_F(PreflightTest, AnotherTracerIsNamed) {
  proc_.add({.pid = 60, .tid = 60, .comm = "gdb\x1b[2J", .uid = 1000});
  proc_.add({.pid = 42, .tid = 42, .tracer = 60, .uid = 1000});
  expect_refused(check(42), "already traced by process 60 (gdb\\", "stucktrace explain 42");
  EXPECT_TRUE(check(42).can_look);
  proc_.add({.pid = 42, .tid = 42, .tracer = 100, .uid = 1000});
  EXPECT_TRUE(check(42).can_trace);  // traced by ourselves
}

TEST_F(PreflightTest, OtherUsersNeedThePrivilege) {
  proc_.add({.pid = 42, .tid = 42, .uid = 33});
  expect_refused(check(42), "another user (uid 33, yours is 1000)", "sudo");
  EXPECT_TRUE(check(42, kRoot).can_trace);
}

TEST_F(PreflightTest, YamaScopes) {
  proc_.add({.pid = 42, .tid = 42, .uid = 1000});
  proc_.add({.pid = 101, .tid = 101, .parent = 100, .uid = 1000});
  proc_.add({.pid = 102, .tid = 102, .parent = 101, .uid = 1000});
  const std::string file = "sys/kernel/yama/ptrace_scope";
  proc_.write(file, "0\n");
  EXPECT_TRUE(check(42).can_trace);
  proc_.write(file, "1\n");
  expect_refused(check(42), "ptrace_scope is 1", "sysctl kernel.yama.ptrace_scope=0");
  EXPECT_TRUE(check(102).can_trace);  // a descendant
  EXPECT_TRUE(check(42, kRoot).can_trace);
  proc_.write(file, "2\n");
  expect_refused(check(102), "ptrace_scope is 2", "sudo");
  EXPECT_TRUE(check(42, kRoot).can_trace);
  proc_.write(file, "3\n");
  expect_refused(check(42, kRoot), "ptrace_scope is 3", "stucktrace explain 42");
  EXPECT_TRUE(check(42, kRoot).can_look);
}

TEST_F(PreflightTest, ASeccompFilterIsToldFromAMissingCapability) {
  proc_.add({.pid = 42, .tid = 42, .uid = 1000});
  Caller filtered = kUser;
  filtered.ptrace_filtered = true;
  expect_refused(check(42, filtered), "seccomp", "SYS_PTRACE");
}

TEST(PreflightCaller, KnowsItself) {
  const Caller caller = Caller::current();
  EXPECT_GT(caller.pid.value(), 0);
  const PreflightReport report = preflight(Procfs{}, caller.pid, caller);
  EXPECT_FALSE(report.can_trace);
  EXPECT_TRUE(report.can_look);
}

}  // namespace
}  // namespace stucktrace::kernel
