#include "tracer/model/call_summary.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "tests/support/event_script.h"

namespace stucktrace::model {
namespace {

using namespace std::chrono_literals;
using test::EventScript;

CallSummary summary_of(const EventScript& script) {
  CallSummary summary;
  for (const Event& event : script.events()) summary.on_event(event);
  return summary;
}

// read(3) of 5 ms, of which 1 ms on a CPU and 0.5 ms in the queue for one.
Event measured_exit(double ms) {
  SyscallExit exit;
  exit.call = test::raw_call("read", {3, 0, 100});
  exit.result = {40, false};
  exit.spent = CallTimes{1ms, 500us};
  return {0, EventScript::at_ms(ms), base::Pid{10}, base::Tid{10}, exit};
}

EventScript script() {
  EventScript script;
  TaskSeen seen;
  seen.comm = "cat";
  seen.fds = {test::fd_entry(3, ResourceKind::kPipe, 77, FdMode::kRead, "pipe:[77]")};
  script.seen(0, 10, 10, seen);
  script.enter(10, 10, 10, "read", {3, 0, 100});
  script.add(15, 10, 10, measured_exit(15).data);
  script.call(20, 22, 10, 10, "read", {3, 0, 100}, 60);
  script.call(30, 31, 10, 10, "write", {1, 0, 100}, -EPIPE);
  script.made(40, 10, 10, 20, NewTaskKind::kFork);
  script.call(41, 61, 20, 20, "wait4", {0xffffffffffffffff, 0, 0, 0}, -ECHILD);
  return script;
}

// The script's calls are those of x86-64: elsewhere that is said.
std::string shown(std::string name) {
  return syscalls::kNativeAbi == syscalls::Abi::kX86_64 ? name : name + " (x86_64)";
}

TEST(CallSummary, ByCall) {
  const auto rows = summary_of(script()).by_call();
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[0].name, shown("wait4"));  // longest wall time first
  EXPECT_EQ(rows[0].errors, 1U);
  EXPECT_EQ(rows[1].name, shown("read"));
  EXPECT_EQ(rows[1].calls, 2U);
  EXPECT_EQ(rows[1].wall, 7ms);
  EXPECT_EQ(rows[1].longest, 5ms);
  EXPECT_EQ(rows[1].measured, 1U);
  EXPECT_EQ(rows[1].system, 1ms);
  EXPECT_EQ(rows[1].blocked, 3500us);  // neither on a CPU nor waiting for one
  EXPECT_EQ(rows[2].name, shown("write"));
}

TEST(CallSummary, ByProcessAndDescriptor) {
  const CallSummary summary = summary_of(script());
  const auto processes = summary.by_process();
  ASSERT_EQ(processes.size(), 2U);
  EXPECT_EQ(processes[0].role, "P2");
  EXPECT_EQ(processes[1].role, "P1");
  EXPECT_EQ(processes[1].comm, "cat");
  EXPECT_EQ(processes[1].calls, 3U);
  const auto descriptors = summary.by_descriptor();
  ASSERT_EQ(descriptors.size(), 2U);
  EXPECT_EQ(descriptors[0].what, "pipe:[77]");
  EXPECT_EQ(descriptors[0].bytes_in, 100U);
  EXPECT_EQ(descriptors[0].bytes_out, 0U);
  EXPECT_EQ(descriptors[1].fd, 1);
  EXPECT_EQ(descriptors[1].bytes_out, 0U);  // the write failed
  EXPECT_EQ(summary.total().calls, 4U);
}

TEST(CallSummary, OpenCallsDoNotCount) {
  EventScript script;
  script.seen(0, 10, 10, TaskSeen{});
  script.enter(10, 10, 10, "read", {3, 0, 100});
  EXPECT_EQ(summary_of(script).total().calls, 0U);
}

}  // namespace
}  // namespace stucktrace::model
