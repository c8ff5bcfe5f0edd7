#include "tracer/model/trace_state.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "tests/support/event_script.h"
#include "tracer/model/snapshot.h"
#include "tracer/model/timeline.h"

namespace stucktrace::model {
namespace {

using base::Pid;
using base::Tid;
using test::EventScript;
using test::fd_entry;

TaskSeen task(std::string comm, std::vector<FdEntry> fds = {}) {
  TaskSeen seen;
  seen.comm = std::move(comm);
  seen.fds = std::move(fds);
  return seen;
}

FdEntry out() {
  return fd_entry(1, ResourceKind::kPipe, 5, FdMode::kWrite, "pipe:[5]");
}

Sample sample() {
  const auto snapshot = std::make_shared<const Snapshot>();
  return {snapshot, snapshot};
}

TraceState after(const EventScript& script) {
  TraceState state;
  for (const Event& event : script.events()) state.observe(event);
  return state;
}

std::size_t writes_in(const std::vector<Event>& events) {
  return static_cast<std::size_t>(std::ranges::count_if(events, [](const Event& event) {
    const auto* enter = std::get_if<SyscallEnter>(&event.data);
    return enter != nullptr &&
           syscalls::sys_of(enter->call.abi, enter->call.number) == syscalls::Sys::write;
  }));
}

EventScript say(EventScript script, double ms, int pid, const std::string& text) {
  script.call(ms, ms + 0.1, pid, pid, "write", {1, 0x1000, text.size()},
              static_cast<std::int64_t>(text.size()), {{0x1000, text}});
  return script;
}

TEST(TraceState, LeadsToTheSameTasksWithTheirRoles) {
  const TraceState state = after(EventScript{}
                                     .seen(0, 10, 10, task("sh"))
                                     .made(1, 10, 10, 20, NewTaskKind::kFork)
                                     .seen(2, 20, 20, task("ls"))
                                     .add(3, 20, 20, TaskExit{})
                                     .made(4, 10, 10, 30, NewTaskKind::kFork)
                                     .seen(5, 30, 30, task("python3"))
                                     .made(6, 30, 30, 31, NewTaskKind::kThread)
                                     .seen(7, 30, 31, task("worker"))
                                     .made(8, 30, 30, 32, NewTaskKind::kThread)
                                     .seen(9, 30, 32, task("feeder"))
                                     .add(10, 30, 31, TaskExit{}));
  TaskTree tree;
  for (const Event& event : state.events()) tree.observe(event);
  EXPECT_EQ(tree.find(Tid{20}), nullptr);
  EXPECT_EQ(tree.find(Tid{31}), nullptr);
  EXPECT_EQ(tree.role(Tid{30}), "P3.T1");
  EXPECT_EQ(tree.role(Tid{32}), "P3.T3");
  EXPECT_EQ(tree.find(Tid{32})->comm, "feeder");
  // New tasks are counted on from where it was.
  const EventScript more = EventScript{}.made(20, 10, 10, 40, NewTaskKind::kFork);
  for (const Event& event : more.events()) tree.observe(event);
  EXPECT_EQ(tree.role(Tid{40}), "P4.T1");
}

TEST(TraceState, LeadsToTheSameDescriptors) {
  const TraceState state = after(EventScript{}
                                     .seen(0, 10, 10, task("sh", {out()}))
                                     .call(1, 2, 10, 10, "dup2", {1, 7}, 7)
                                     .call(3, 4, 10, 10, "close", {1}, 0));
  FdTracker fds;
  for (const Event& event : state.events()) fds.observe(event);
  EXPECT_EQ(fds.find(Pid{10}, 1), nullptr);
  ASSERT_NE(fds.find(Pid{10}, 7), nullptr);
  EXPECT_EQ(fds.find(Pid{10}, 7)->resource, out().resource);
}

TEST(TraceState, KeepsTheCallsThatAreOpen) {
  const TraceState state = after(EventScript{}
                                     .seen(0, 10, 10, task("sh"))
                                     .call(1, 2, 10, 10, "read", {0, 0x1000, 1}, 1)
                                     .enter(3, 10, 10, "read", {9, 0x1000, 1}));
  CallPairer calls;
  for (const Event& event : state.events()) calls.observe(event);
  ASSERT_NE(calls.open_call(Tid{10}), nullptr);
  EXPECT_EQ(calls.open_call(Tid{10})->raw.args[0], 9U);
  EXPECT_EQ(calls.open_call(Tid{10})->start, EventScript::at_ms(3));
}

TEST(TraceState, KeepsWhatWasSaidLast) {
  EventScript script = EventScript{}.seen(0, 10, 10, task("sh", {out()}));
  script = say(say(say(std::move(script), 1, 10, "one\n"), 2, 10, "two\n"), 3, 10, "done\n");
  EXPECT_EQ(writes_in(after(script).events()), 2U);
  // A new child is new work: what was said before announces nothing.
  script.made(5, 10, 10, 20, NewTaskKind::kFork);
  EXPECT_EQ(writes_in(after(script).events()), 0U);
}

TEST(TraceState, KeepsSamplesAndWhoTheyAreAbout) {
  EventScript script = EventScript{}
                           .seen(0, 10, 10, task("sh"))
                           .made(1, 10, 10, 20, NewTaskKind::kFork)
                           .seen(2, 20, 20, task("stuck"))
                           .enter(3, 20, 20, "read", {9, 0x1000, 1})
                           .add(4, 0, 0, sample())
                           .add(5, 20, 20, TaskExit{});
  const auto events = after(script).events();
  const auto told = [&](auto kind) {
    return std::ranges::any_of(events, [&](const Event& event) {
      return event.tid == Tid{20} && std::holds_alternative<decltype(kind)>(event.data);
    });
  };
  EXPECT_TRUE(told(TaskSeen{}));
  EXPECT_TRUE(told(SyscallEnter{}));
  EXPECT_TRUE(told(TaskExit{}));
  EXPECT_TRUE(std::ranges::is_sorted(events, {}, &Event::at));
  EXPECT_EQ(
      std::ranges::count_if(
          events, [](const Event& event) { return std::holds_alternative<Sample>(event.data); }),
      1);
}

TEST(TraceState, KeepsHowACallInASampleEnded) {
  EventScript script = EventScript{}
                           .seen(0, 10, 10, task("sh"))
                           .enter(1, 10, 10, "read", {9, 0x1000, 1})
                           .add(2, 0, 0, sample())
                           .exit(3, 10, 10, "read", {9, 0x1000, 1}, 0);
  for (int i = 0; i < 10; ++i) script.call(4 + i, 4.5 + i, 10, 10, "read", {7, 0x1000, 1}, 0);
  CallPairer calls;
  std::vector<Call> done;
  for (const Event& event : after(script).events()) {
    if (auto call = calls.observe(event)) done.push_back(std::move(*call));
  }
  ASSERT_EQ(done.size(), 1U);
  EXPECT_EQ(done[0].raw.args[0], 9U);
  EXPECT_EQ(done[0].end, EventScript::at_ms(3));
}

TEST(TraceState, IsBounded) {
  TraceState state;
  EventScript script = EventScript{}.seen(0, 10, 10, task("sh", {out()}));
  for (int i = 0; i < 100; ++i) {
    const int child = 1000 + i;
    script.made(i + 1, 10, 10, child, NewTaskKind::kFork)
        .seen(i + 1.1, child, child, task("child"))
        .add(i + 1.2, 0, 0, sample())
        .add(i + 1.3, child, child, TaskExit{});
  }
  const auto events = after(script).events();
  // The samples, a beginning and an end for who was there in each, and the one that lives.
  EXPECT_EQ(events.size(), 3 * TraceState::kSamplesKept + 1);
}

TEST(TraceState, KeepsTheCommandThatHasEnded) {
  const TraceState state = after(EventScript{}
                                     .seen(0, 10, 10, task("make"))
                                     .made(1, 10, 10, 20, NewTaskKind::kFork)
                                     .seen(2, 20, 20, task("daemon"))
                                     .add(3, 10, 10, TaskExit{}));
  const auto events = state.events();
  ASSERT_EQ(events.size(), 3U);
  EXPECT_EQ(events[0].tid, Tid{10});
  EXPECT_EQ(std::get<TaskSeen>(events[0].data).process_number, 1U);
  EXPECT_EQ(events[1].tid, Tid{20});
  EXPECT_TRUE(std::holds_alternative<TaskExit>(events[2].data));
}

TEST(TraceState, KeepsTheStackOfAnOpenCall) {
  const TraceState state = after(EventScript{}
                                     .seen(0, 10, 10, task("sh"))
                                     .enter(1, 10, 10, "read", {3, 0x1000, 5})
                                     .stack(1, 10, 10, {"read", "over"})
                                     .exit(2, 10, 10, "read", {3, 0x1000, 5}, 5)
                                     .enter(3, 10, 10, "read", {3, 0x1000, 5})
                                     .stack(3, 10, 10, {"read", "open"}));
  const auto events = state.events();
  ASSERT_EQ(events.size(), 3U);
  EXPECT_TRUE(std::holds_alternative<SyscallEnter>(events[1].data));
  const auto* stack = std::get_if<StackSeen>(&events[2].data);
  ASSERT_NE(stack, nullptr);
  EXPECT_EQ(stack->frames[1].function, "open");
}

}  // namespace
}  // namespace stucktrace::model
