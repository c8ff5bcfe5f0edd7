// Tracees that make calls of another ABI than the machine's own.

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "syscalls/decode.h"
#include "tests/live/snapshot_fixture.h"

namespace stucktrace::test {
namespace {

using model::Event;
using syscalls::Abi;

bool was_built(const std::string& name) {
  return std::filesystem::exists(target_path(name));
}

// Why 32-bit programs cannot be traced here; empty if they can. A kernel may be built or started
// without them (ia32_emulation=0): execve(2) then fails with ENOEXEC.
std::string why_no_32_bit_programs() {
  if (!was_built("abi32")) return "built without a 32-bit compiler (g++-12-multilib)";
  Target target({target_path("abi32")});
  return target.wait_ready() ? "" : "this kernel runs no 32-bit programs";
}

// The finished calls of one ABI as "name(args) = result", from what the events hold.
std::vector<std::string> calls_of(const TracedRun& run, Abi abi) {
  std::map<base::Tid, syscalls::CapturedMemory> entered;
  std::vector<std::string> texts;
  for (const Event& event : run.events.events) {
    if (const auto* enter = std::get_if<model::SyscallEnter>(&event.data)) {
      entered[event.tid] = enter->memory;
    }
    const auto* exit = std::get_if<model::SyscallExit>(&event.data);
    if (exit == nullptr || exit->call.abi != abi) continue;
    syscalls::CapturedMemory& memory = entered[event.tid];
    for (const auto& range : exit->memory.ranges()) {
      memory.add(range.address, exit->memory.bytes(range));
    }
    const auto decoded = syscalls::decode(exit->call, exit->result, memory);
    std::string text = decoded.name + "(";
    for (std::size_t i = 0; i < decoded.args.size(); ++i) {
      text += (i == 0 ? "" : ", ") + syscalls::to_text(decoded.args[i].value, 64);
    }
    texts.push_back(fmt::format("{}) = {}", text, exit->result.value));
  }
  return texts;
}

testing::AssertionResult has_call(const std::vector<std::string>& calls, std::string_view start,
                                  std::string_view part) {
  const bool found = std::ranges::any_of(calls, [&](const std::string& call) {
    return call.starts_with(start) && call.contains(part);
  });
  if (found) return testing::AssertionSuccess();
  testing::AssertionResult failure = testing::AssertionFailure();
  failure << "no call '" << start << "' with '" << part << "' among";
  const std::string_view name = start.substr(0, start.find('('));
  for (const std::string& call : calls) {
    if (call.starts_with(name)) failure << "\n  " << call;
  }
  return failure;
}

class AbiTest : public testing::TestWithParam<Mode> {};

INSTANTIATE_TEST_SUITE_P(Modes, AbiTest, testing::ValuesIn(kAllModes),
                         [](const auto& mode) { return std::string{name_of(mode.param)}; });

TEST_P(AbiTest, A32BitProgramIsFollowedAndReadLikeAny) {
  if (const std::string why = why_no_32_bit_programs(); !why.empty()) GTEST_SKIP() << why;
  const std::vector<std::string> words{target_path("abi32")};
  const RunResult native = run_native(words);
  ASSERT_NE(native.output.find("after exec"), std::string::npos) << native.output;
  const TracedRun traced = run_traced(words, GetParam(), syscalls::Payload::kAll);
  ASSERT_FALSE(traced.timed_out);
  EXPECT_EQ(traced.status, native.status);
  EXPECT_EQ(traced.output, native.output);

  const auto calls = calls_of(traced, Abi::kI386);
  struct Expected {
    std::string_view start, part;
  };
  constexpr Expected kExpected[] = {
      {"socketpair(AF_UNIX, SOCK_STREAM, 0, [", "]) = 0"},
      {"send(", ", \"through socketcall\", 18, MSG_NOSIGNAL) = 18"},
      {"recvfrom(", ", \"through socketcall\", 64, 0, NULL, NULL) = 18"},
      {"sendmsg(",
       ", msg_iov=[{iov_base=\"through\", iov_len=7}], msg_iovlen=1, "
       "msg_control=NULL, msg_controllen=0, msg_flags=0}, 0) = 7"},
      {"connect(", ", {sa_family=AF_UNIX, sun_path=\"/nonexistent/abi32\"}, 110) = -2"},
      {"semop(", ", [{sem_num=0, sem_op=3, sem_flg=IPC_NOWAIT}], 1) = 0"},
      {"semctl(", ", 0, GETVAL, NULL) = 3"},
      {"mmap(NULL, 4096, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0)", ""},
      {"pwrite64(", ", \"far\", 3, 4294967312) = 3"},
      {"pread64(", ", \"far\", 3, 4294967312) = 3"},
      {"_llseek(", ", 4294967312, [4294967312], SEEK_SET) = 0"},
      {"fcntl64(",
       ", F_SETLK64, {l_type=F_WRLCK, l_whence=SEEK_SET, l_start=4294967312, "
       "l_len=5}) = 0"},
      {"poll([{fd=", ", events=POLLOUT, revents=POLLOUT}], 2, 0) = 1"},
      {"select(", "], NULL, {tv_sec=0, tv_usec=0}) = 1"},
      {"futex(0x", ", FUTEX_WAIT_PRIVATE, 5, {tv_sec=0, tv_nsec=1000000}) = -110"},
      {"futex_time64(0x", ", FUTEX_WAIT_PRIVATE, 5, {tv_sec=0, tv_nsec=2000000}) = -110"},
      {"nanosleep({tv_sec=0, tv_nsec=1000000}", ", NULL) = 0"},
      {"execve(\"/bin/true\", [\"true\", \"an argument\"], 0x", ") = 0"},
      {"waitpid(", ", [{WIFEXITED(s) && WEXITSTATUS(s) == 0}], 0) = "},
      {"writev(1, [{iov_base=\"two \", iov_len=4}, {iov_base=\"parts\\n\", iov_len=6}], 2)",
       " = 10"},
  };
  for (const auto& [start, part] : kExpected) EXPECT_TRUE(has_call(calls, start, part));
  for (const std::string& call : calls) EXPECT_FALSE(call.starts_with("syscall_")) << call;
  EXPECT_FALSE(has_call(calls, "socketcall(", ""));
  EXPECT_FALSE(has_call(calls, "ipc(", ""));
}

TEST_P(AbiTest, WhatA32BitProgramMakesIsKnown) {
  if (const std::string why = why_no_32_bit_programs(); !why.empty()) GTEST_SKIP() << why;
  const TracedRun traced = run_traced({target_path("abi32")}, GetParam());
  ASSERT_FALSE(traced.timed_out);
  std::map<model::NewTaskKind, int> made;
  std::vector<std::string> execs;
  int pairs = 0, pipes = 0;
  for (const Event& event : traced.events.events) {
    if (const auto* task = std::get_if<model::NewTask>(&event.data)) ++made[task->kind];
    if (const auto* exec = std::get_if<model::Exec>(&event.data)) execs.push_back(exec->exe);
    const auto* exit = std::get_if<model::SyscallExit>(&event.data);
    if (exit == nullptr || exit->call.abi != Abi::kI386) continue;
    switch (syscalls::sys_of(exit->call.abi, exit->call.number)) {
      case syscalls::Sys::socketpair:
        ASSERT_EQ(exit->made_fds.size(), 2U);
        EXPECT_EQ(exit->made_fds[0].resource.kind, model::ResourceKind::kUnixSocket);
        ++pairs;
        break;
      case syscalls::Sys::pipe2:
        ASSERT_EQ(exit->made_fds.size(), 2U);
        EXPECT_EQ(exit->made_fds[1].resource.kind, model::ResourceKind::kPipe);
        ++pipes;
        break;
      default:
        break;
    }
  }
  EXPECT_EQ(pairs, 1);
  EXPECT_EQ(pipes, 1);
  EXPECT_EQ(made[model::NewTaskKind::kThread], 1);
  // glibc forks by clone(SIGCHLD): the kernel reports a fork.
  EXPECT_EQ(made[model::NewTaskKind::kFork], 1);
  const auto of = [&](std::string_view name) {
    return std::ranges::count_if(execs,
                                 [&](const std::string& exe) { return exe.ends_with(name); });
  };
  EXPECT_EQ(of("/true"), 1);
  EXPECT_GE(of("/abi32"), 1);
}

TEST_P(AbiTest, CallsOfOtherAbisInA64BitProgram) {
  if (!was_built("foreign_calls")) GTEST_SKIP() << "such calls exist on x86-64 alone";
  const std::vector<std::string> words{target_path("foreign_calls")};
  const RunResult native = run_native(words);
  const TracedRun traced = run_traced(words, GetParam(), syscalls::Payload::kAll);
  ASSERT_FALSE(traced.timed_out);
  EXPECT_EQ(traced.status, native.status);
  EXPECT_EQ(traced.output, native.output);
  if (native.output.find("write 12\n") == std::string::npos) {
    GTEST_SKIP() << "this kernel makes no i386 calls";
  }
  EXPECT_TRUE(has_call(calls_of(traced, Abi::kI386), "write(1, \"by int 0x80\\n\", 12)", " = 12"));
  const auto x32 = calls_of(traced, Abi::kX32);
  EXPECT_TRUE(has_call(x32, "x32:close(-1)", ""));
  EXPECT_TRUE(has_call(x32, "x32:writev(-1, [], 0)", ""));
  EXPECT_TRUE(has_call(x32, "x32:syscall_600(0xffffffff", " = -38"));
  EXPECT_EQ(x32.size(), 3U);
}

TEST_F(SnapshotTest, WaitsOfA32BitProgramAreSeenThroughItsCalls) {
  if (const std::string why = why_no_32_bit_programs(); !why.empty()) GTEST_SKIP() << why;
  Target target({target_path("abi32"), "block"});
  ASSERT_TRUE(target.wait_ready());
  const auto all_wait = [](const model::Snapshot&, const model::Process& process) {
    return find_waiting(process, model::WaitKind::kUnixRead) != nullptr &&
           find_waiting(process, model::WaitKind::kMultiplex) != nullptr &&
           find_waiting(process, model::WaitKind::kFutex) != nullptr;
  };
  const auto snapshot = take_when(target.pid(), all_wait);
  const auto* socket = waiting(snapshot, target.pid(), model::WaitKind::kUnixRead);
  const auto* multiplex = waiting(snapshot, target.pid(), model::WaitKind::kMultiplex);
  const auto* futex = waiting(snapshot, target.pid(), model::WaitKind::kFutex);
  ASSERT_TRUE(socket != nullptr && multiplex != nullptr && futex != nullptr);
  EXPECT_TRUE(socket->call_text.starts_with("recv(")) << socket->call_text;
  EXPECT_TRUE(multiplex->call_text.starts_with("select(")) << multiplex->call_text;
  const auto* watched = first_on<model::OnFd>(multiplex);
  ASSERT_NE(watched, nullptr);
  EXPECT_EQ(watched->resource.kind, model::ResourceKind::kPipe);
  EXPECT_EQ(watched->direction, model::FdMode::kRead);
  EXPECT_FALSE(multiplex->wait.timeout);
  EXPECT_EQ(futex->wait.timeout, base::Nanoseconds{std::chrono::hours{2}});
  target.close_stdin();
  EXPECT_EQ(target.wait(), 0);
}

}  // namespace
}  // namespace stucktrace::test
