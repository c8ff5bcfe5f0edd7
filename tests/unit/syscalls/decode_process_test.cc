#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "syscalls/decode.h"
#include "tests/unit/syscalls/fake_tracee.h"

namespace stucktrace::syscalls::testing {
namespace {

TEST(DecodeProcess, WaitStatus) {
  FakeTracee memory;
  const auto waited = [&](std::int32_t status) {
    return done_text(memory, "wait4", {minus(1), memory.put(status), 0, 0}, 42);
  };
  EXPECT_EQ(waited(3 << 8), "wait4(-1, [{WIFEXITED(s) && WEXITSTATUS(s) == 3}], 0, NULL) = 42");
  EXPECT_EQ(waited(SIGKILL),
            "wait4(-1, [{WIFSIGNALED(s) && WTERMSIG(s) == SIGKILL}], 0, NULL) = 42");
  EXPECT_EQ(
      waited(SIGSEGV | 0x80),
      "wait4(-1, [{WIFSIGNALED(s) && WTERMSIG(s) == SIGSEGV && WCOREDUMP(s)}], 0, NULL) = 42");
  EXPECT_EQ(waited(SIGSTOP << 8 | 0x7f),
            "wait4(-1, [{WIFSTOPPED(s) && WSTOPSIG(s) == SIGSTOP}], 0, NULL) = 42");
  EXPECT_EQ(waited((SIGTRAP | 0x80) << 8 | 0x7f),
            "wait4(-1, [{WIFSTOPPED(s) && WSTOPSIG(s) == SIGTRAP | 0x80}], 0, NULL) = 42");
  EXPECT_EQ(waited(0xffff), "wait4(-1, [{WIFCONTINUED(s)}], 0, NULL) = 42");
}

TEST(DecodeProcess, WaitThatReportsNobody) {
  FakeTracee memory;
  const std::uint64_t status = memory.put<std::int32_t>(0);
  EXPECT_EQ(done_text(memory, "wait4", {77, status, WNOHANG, 0}, 0),
            "wait4(77, 0x10000, WNOHANG, NULL) = 0");
  EXPECT_EQ(open_text(memory, "wait4", {77, status, 0, 0}), "wait4(77, 0x10000, 0, NULL)");
}

TEST(DecodeProcess, Waitid) {
  FakeTracee memory;
  const std::uint64_t info =
      memory.put_array<std::int32_t>({SIGCHLD, 0, CLD_EXITED, 0, 42, 1000, 7, 0});
  EXPECT_EQ(done_text(memory, "waitid", {P_PID, 42, info, WEXITED, 0}, 0),
            "waitid(P_PID, 42, {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=42, si_uid=1000, "
            "si_status=7}, WEXITED, NULL) = 0");
  const std::uint64_t none = memory.put(std::array<std::int32_t, 8>{});
  EXPECT_EQ(done_text(memory, "waitid", {P_ALL, 0, none, WEXITED | WNOHANG, 0}, 0),
            "waitid(P_ALL, 0, {}, WNOHANG|WEXITED, NULL) = 0");
  const DecodedCall call = decode(make_call("waitid", {3, 9, 0, WEXITED, 0}), std::nullopt, memory);
  EXPECT_TRUE(std::holds_alternative<Fd>(call.args[1].value.data));
}

TEST(DecodeProcess, Clone) {
  FakeTracee memory;
  EXPECT_EQ(done_text(memory, "clone", {CLONE_CHILD_SETTID | SIGCHLD, 0, 0, 0x7000, 0}, 43),
            "clone(CLONE_CHILD_SETTID|SIGCHLD, NULL, NULL, 0x7000, NULL) = 43");
  std::array<std::uint64_t, 11> args{};
  args[0] = CLONE_VM | CLONE_VFORK;
  args[4] = SIGCHLD;
  args[5] = 0x8000;
  args[6] = 0x9000;
  EXPECT_EQ(done_text(memory, "clone3", {memory.put(args), 88}, 43),
            "clone3({flags=CLONE_VM|CLONE_VFORK, exit_signal=SIGCHLD, stack=0x8000, "
            "stack_size=36864}, 88) = 43");
  EXPECT_EQ(open_text(memory, "clone3", {memory.put(args), 8}), "clone3(0x12000, 8)");
  EXPECT_EQ(open_text(memory, "clone3", {kBadAddress, 88}), "clone3(0xdead0000, 88)");
  EXPECT_EQ(open_text(memory, "unshare", {0x80}), "unshare(CLONE_NEWTIME)");
}

TEST(DecodeProcess, ExecNeverReadsTheEnvironment) {
  FakeTracee memory;
  const std::uint64_t path = memory.put_text("/bin/sh");
  const std::uint64_t a = memory.put_text("sh");
  const std::uint64_t b = memory.put_text("-c");
  const std::uint64_t argv = memory.put_array<std::uint64_t>({a, b, 0});
  const std::uint64_t secret = memory.put_text("SECRET=1");
  const std::uint64_t envp = memory.put_array<std::uint64_t>({secret, 0});
  EXPECT_EQ(open_text(memory, "execve", {path, argv, envp}),
            "execve(\"/bin/sh\", [\"sh\", \"-c\"], 0x1a000)");
  EXPECT_EQ(open_text(memory, "execve", {path, kBadAddress, 0}),
            "execve(\"/bin/sh\", 0xdead0000, NULL)");
  const std::uint64_t endless = memory.put_array<std::uint64_t>({a, kBadAddress});
  EXPECT_EQ(open_text(memory, "execve", {path, endless, 0}),
            "execve(\"/bin/sh\", [\"sh\", 0xdead0000, ...], NULL)");
}

TEST(DecodeProcess, Signals) {
  FakeTracee memory;
  EXPECT_EQ(open_text(memory, "kill", {minus(5), SIGTERM}), "kill(-5, SIGTERM)");
  EXPECT_EQ(open_text(memory, "tgkill", {5, 6, 0}), "tgkill(5, 6, 0)");
  EXPECT_EQ(open_text(memory, "pidfd_send_signal", {5, SIGKILL, 0, 0}),
            "pidfd_send_signal(5, SIGKILL, NULL, 0)");
  const std::uint64_t set = memory.put<std::uint64_t>((1U << (SIGINT - 1)) | (1ULL << 33));
  EXPECT_EQ(open_text(memory, "rt_sigprocmask", {0, set, 0, 8}),
            "rt_sigprocmask(SIG_BLOCK, [INT RT_2], NULL, 8)");
  const std::uint64_t full = memory.put(~std::uint64_t{1});
  EXPECT_EQ(open_text(memory, "rt_sigsuspend", {full, 8}), "rt_sigsuspend(~[HUP], 8)");
  const std::uint64_t action = memory.put_array<std::uint64_t>({1, 0x14000000, 0x7000, 0});
  EXPECT_EQ(open_text(memory, "rt_sigaction", {SIGPIPE, action, 0, 8}),
            "rt_sigaction(SIGPIPE, {sa_handler=SIG_IGN, sa_mask=[], "
            "sa_flags=SA_RESTORER|SA_RESTART, sa_restorer=0x7000}, NULL, 8)");
  const std::uint64_t info = memory.put_array<std::int32_t>({SIGUSR1, 0, 0, 0, 9, 0, 0, 0});
  EXPECT_EQ(done_text(memory, "rt_sigtimedwait", {set, info, 0, 8}, SIGUSR1),
            "rt_sigtimedwait([INT RT_2], {si_signo=SIGUSR1, si_code=SI_USER, si_pid=9, si_uid=0}, "
            "NULL, 8) = 10");
}

TEST(DecodeProcess, LimitsAndOptions) {
  FakeTracee memory;
  const std::uint64_t limit = memory.put_array<std::uint64_t>({1024, ~std::uint64_t{0}});
  EXPECT_EQ(open_text(memory, "prlimit64", {0, RLIMIT_NOFILE, limit, 0}),
            "prlimit64(0, RLIMIT_NOFILE, {rlim_cur=1024, rlim_max=RLIM64_INFINITY}, NULL)");
  EXPECT_EQ(open_text(memory, "prctl", {PR_SET_NAME, memory.put_text("worker")}),
            "prctl(PR_SET_NAME, \"worker\")");
  EXPECT_EQ(open_text(memory, "prctl", {PR_SET_PDEATHSIG, SIGTERM}),
            "prctl(PR_SET_PDEATHSIG, SIGTERM)");
  EXPECT_EQ(open_text(memory, "prctl", {PR_GET_DUMPABLE}), "prctl(PR_GET_DUMPABLE)");
  EXPECT_EQ(open_text(memory, "prctl", {PR_SET_PTRACER, ~std::uint64_t{0}}),
            "prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY)");
  EXPECT_EQ(open_text(memory, "prctl", {9876, 1, 2, 3, 4}), "prctl(9876, 0x1, 0x2, 0x3, 0x4)");
}

TEST(DecodeProcess, Memory) {
  const FakeTracee memory;
  EXPECT_EQ(done_text(memory, "mmap",
                      {0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, minus(1), 0},
                      0x7f0000),
            "mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000");
  EXPECT_EQ(done_text(memory, "brk", {0}, 0x5000), "brk(NULL) = 0x5000");
  EXPECT_EQ(open_text(memory, "madvise", {0x1000, 4096, MADV_DONTNEED}),
            "madvise(0x1000, 4096, MADV_DONTNEED)");
  EXPECT_EQ(open_text(memory, "exit_group", {3}), "exit_group(3)");
}

}  // namespace
}  // namespace stucktrace::syscalls::testing
