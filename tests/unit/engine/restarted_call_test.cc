#include "tracer/engine/restarted_call.h"

#include <gtest/gtest.h>

#include "syscalls/table.h"

namespace stucktrace::engine {
namespace {

using model::WaitKind;

syscalls::RawCall named(std::string_view name, std::uint64_t first = 0) {
  syscalls::RawCall call;
  call.number = syscalls::find_row(call.abi, name)->number;
  call.args[0] = first;
  return call;
}

TEST(RestartedCall, GetsItsOwnNameBack) {
  struct Row {
    WaitKind kind;
    std::uint64_t first;
    std::string_view name;
  };
  for (const Row& row :
       {Row{WaitKind::kMultiplex, 0x7000, "poll"}, Row{WaitKind::kFutex, 0x7000, "futex"},
        Row{WaitKind::kSleep, 1, "clock_nanosleep"}, Row{WaitKind::kSleep, 0x7000, "nanosleep"},
        Row{WaitKind::kOther, 0, "restart_syscall"}}) {
    model::Snapshot snapshot;
    model::Thread thread;
    thread.wait.kind = row.kind;
    thread.syscall = model::SyscallLine{named("restart_syscall", row.first), 0, 0};
    thread.call_text = "restart_syscall()";
    snapshot.processes.emplace_back().threads = {thread};
    name_restarted_calls(snapshot);
    const model::Thread& result = snapshot.processes[0].threads[0];
    EXPECT_EQ(result.syscall->call.number, named(row.name).number) << row.name;
    EXPECT_EQ(result.syscall->call.args[0], row.first);
    EXPECT_TRUE(result.call_text.starts_with(row.name)) << result.call_text;
  }
}

TEST(RestartedCall, OthersStayAsTheyAre) {
  model::Snapshot snapshot;
  model::Thread thread;
  thread.wait.kind = WaitKind::kMultiplex;
  thread.syscall = model::SyscallLine{named("select"), 0, 0};
  model::Thread unread;
  snapshot.processes.emplace_back().threads = {thread, unread};
  name_restarted_calls(snapshot);
  EXPECT_EQ(snapshot.processes[0].threads[0].syscall->call.number, named("select").number);
  EXPECT_FALSE(snapshot.processes[0].threads[1].syscall);
}

}  // namespace
}  // namespace stucktrace::engine
