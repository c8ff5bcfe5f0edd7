#include "tracer/kernel/stop.h"

#include <gtest/gtest.h>
#include <sys/ptrace.h>

#include <csignal>

namespace stucktrace::kernel {
namespace {

constexpr int stopped(int signo, int event = 0) {
  return 0x7f | (signo << 8) | (event << 16);
}
constexpr int kEventStop = 128;

// Every alternative as text, so that a row of the table is one line.
std::string describe(const Stop& stop) {
  struct Describe {
    std::string operator()(const SyscallStop&) { return "syscall"; }
    std::string operator()(const SeccompStop&) { return "seccomp"; }
    std::string operator()(const SignalDelivery& s) { return "signal " + std::to_string(s.signo); }
    std::string operator()(const GroupStopped& s) { return "group " + std::to_string(s.signo); }
    std::string operator()(const Trapped&) { return "trapped"; }
    std::string operator()(const MadeTask& m) {
      return m.how == TaskMaker::kFork ? "fork" : m.how == TaskMaker::kVfork ? "vfork" : "clone";
    }
    std::string operator()(const VforkDone&) { return "vfork done"; }
    std::string operator()(const Execed&) { return "exec"; }
    std::string operator()(const Exiting&) { return "exiting"; }
    std::string operator()(const Exited& e) { return "exited " + std::to_string(e.status); }
    std::string operator()(const Killed& k) {
      return "killed " + std::to_string(k.signo) + (k.core_dumped ? " core" : "");
    }
    std::string operator()(const ContinuedReport&) { return "continued"; }
    std::string operator()(const UnknownStop&) { return "unknown"; }
  };
  return std::visit(Describe{}, stop);
}

struct Row {
  const char* name;
  int raw;
  TraceStyle style;
  SiginfoAnswer siginfo;
  bool asks_siginfo;
  std::string expected;
};

class StopTable : public testing::TestWithParam<Row> {};

TEST_P(StopTable, IsClassified) {
  const Row& row = GetParam();
  const WaitStatus status{row.raw};
  EXPECT_EQ(needs_siginfo(status, row.style), row.asks_siginfo);
  EXPECT_EQ(describe(classify(status, row.style, row.siginfo)), row.expected);
}

constexpr auto kSeize = TraceStyle::kSeize;
constexpr auto kAttach = TraceStyle::kAttach;
constexpr auto kNot = SiginfoAnswer::kNotAsked;
constexpr auto kSignal = SiginfoAnswer::kSignal;
constexpr auto kNone = SiginfoAnswer::kNoSiginfo;

INSTANTIATE_TEST_SUITE_P(
    Kernel, StopTable,
    testing::Values(
        Row{"exit_0", 0x0000, kSeize, kNot, false, "exited 0"},
        Row{"exit_255", 0xff00, kAttach, kNot, false, "exited 255"},
        Row{"killed", SIGKILL, kSeize, kNot, false, "killed 9"},
        Row{"core", SIGSEGV | 0x80, kSeize, kNot, false, "killed 11 core"},
        Row{"killed_by_rt", 64, kSeize, kNot, false, "killed 64"},
        Row{"continued", 0xffff, kSeize, kNot, false, "continued"},
        Row{"syscall_seize", stopped(SIGTRAP | 0x80), kSeize, kNot, false, "syscall"},
        Row{"syscall_attach", stopped(SIGTRAP | 0x80), kAttach, kNot, false, "syscall"},
        Row{"breakpoint", stopped(SIGTRAP), kSeize, kNot, false, "signal 5"},
        Row{"usr1", stopped(SIGUSR1), kSeize, kNot, false, "signal 10"},
        Row{"rt_max", stopped(64), kAttach, kNot, false, "signal 64"},
        Row{"sigstop_seize_is_a_delivery", stopped(SIGSTOP), kSeize, kNot, false, "signal 19"},
        Row{"sigstop_attach_delivery", stopped(SIGSTOP), kAttach, kSignal, true, "signal 19"},
        Row{"sigstop_attach_group", stopped(SIGSTOP), kAttach, kNone, true, "group 19"},
        Row{"sigtstp_attach_group", stopped(SIGTSTP), kAttach, kNone, true, "group 20"},
        Row{"sigttin_attach_delivery", stopped(SIGTTIN), kAttach, kSignal, true, "signal 21"},
        Row{"sigttou_attach_group", stopped(SIGTTOU), kAttach, kNone, true, "group 22"},
        Row{"group_seize", stopped(SIGSTOP, kEventStop), kSeize, kNot, false, "group 19"},
        Row{"group_seize_ttou", stopped(SIGTTOU, kEventStop), kSeize, kNot, false, "group 22"},
        Row{"trap_seize", stopped(SIGTRAP, kEventStop), kSeize, kNot, false, "trapped"},
        Row{"fork", stopped(SIGTRAP, PTRACE_EVENT_FORK), kSeize, kNot, false, "fork"},
        Row{"vfork", stopped(SIGTRAP, PTRACE_EVENT_VFORK), kAttach, kNot, false, "vfork"},
        Row{"clone", stopped(SIGTRAP, PTRACE_EVENT_CLONE), kSeize, kNot, false, "clone"},
        Row{"exec", stopped(SIGTRAP, PTRACE_EVENT_EXEC), kSeize, kNot, false, "exec"},
        Row{"vfork_done", stopped(SIGTRAP, PTRACE_EVENT_VFORK_DONE), kSeize, kNot, false,
            "vfork done"},
        Row{"exiting", stopped(SIGTRAP, PTRACE_EVENT_EXIT), kSeize, kNot, false, "exiting"},
        Row{"seccomp", stopped(SIGTRAP, PTRACE_EVENT_SECCOMP), kSeize, kNot, false, "seccomp"},
        Row{"event_of_tomorrow", stopped(SIGTRAP, 77), kSeize, kNot, false, "unknown"}),
    [](const auto& row) { return std::string{row.param.name}; });

TEST(WaitStatus, DescribesItselfForPeople) {
  EXPECT_EQ(WaitStatus{0x0300}.describe(), "exited with 3");
  EXPECT_EQ(WaitStatus{9}.describe(), "killed by signal 9");
  EXPECT_NE(WaitStatus{stopped(SIGTRAP, 3)}.describe().find("event 3"), std::string::npos);
}

}  // namespace
}  // namespace stucktrace::kernel
