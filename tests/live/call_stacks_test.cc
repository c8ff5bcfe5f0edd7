#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "syscalls/io.h"
#include "tests/live/tracee_fixture.h"

// Stacks taken at the entry of chosen calls: the tracee says in each line it writes which functions
// lead there.

namespace stucktrace::test {
namespace {

using model::Event;
using syscalls::Sys;

struct Written {
  std::string line;
  std::vector<std::string> functions;  // of the stack of its write, innermost first
  std::string note;
  bool with_stack = false;
};

std::string base_name(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

// Every write to stdout and the stack that was told right after it.
std::vector<Written> writes_of(const std::vector<Event>& events) {
  std::vector<Written> writes;
  for (std::size_t i = 0; i < events.size(); ++i) {
    const auto* enter = std::get_if<model::SyscallEnter>(&events[i].data);
    if (enter == nullptr || syscalls::sys_of(enter->call.abi, enter->call.number) != Sys::write) {
      continue;
    }
    Written written;
    const auto bytes = syscalls::written_bytes(
        enter->call, static_cast<std::int64_t>(enter->call.args[2]), enter->memory);
    if (bytes) written.line = *bytes;
    const auto* stack =
        i + 1 < events.size() ? std::get_if<model::StackSeen>(&events[i + 1].data) : nullptr;
    written.with_stack = stack != nullptr && events[i + 1].tid == events[i].tid;
    if (written.with_stack) {
      written.note = stack->note;
      for (const model::NativeFrame& frame : stack->frames) {
        // The C library's own, at either end.
        if (base_name(frame.module).starts_with("libc.")) continue;
        written.functions.push_back(frame.function);
      }
    }
    writes.push_back(std::move(written));
  }
  return writes;
}

std::vector<std::string> words_of(const std::string& line) {
  std::istringstream words{line};
  std::vector<std::string> list;
  for (std::string word; words >> word;) list.push_back(word);
  return list;
}

engine::TracerOptions options_for_writes() {
  engine::TracerOptions options;
  options.trace = syscalls::TraceSet::none();
  options.filter = engine::filter_for(syscalls::TraceSet::none());
  options.stacks_at = syscalls::TraceSet::none();
  options.stacks_at->add(Sys::write);
  return options;
}

class CallStacksTest : public testing::TestWithParam<Mode> {};

INSTANTIATE_TEST_SUITE_P(Modes, CallStacksTest, testing::ValuesIn(kAllModes),
                         [](const auto& mode) { return std::string{name_of(mode.param)}; });

TEST_P(CallStacksTest, NameTheFunctionsThatTheTraceeNames) {
  const TracedRun run = run_traced({target_path("call_places")}, GetParam(), options_for_writes());
  ASSERT_FALSE(run.timed_out);
  EXPECT_EQ(run.status, 0);
  std::set<std::string> seen;
  for (const Written& written : writes_of(run.events.events)) {
    if (written.line == "ready\n") continue;
    SCOPED_TRACE(written.line);
    ASSERT_TRUE(written.with_stack);
    const std::vector<std::string> expected = words_of(written.line);
    ASSERT_GE(written.functions.size(), expected.size()) << written.note;
    for (std::size_t i = 0; i < expected.size(); ++i) {
      // A library is called through a function of the program's that has no plain name.
      const std::size_t at = expected[0].ends_with("_place") && expected[i] == "main" ? i + 1 : i;
      EXPECT_EQ(written.functions[at], expected[i]);
    }
    seen.insert(written.line);
  }
  EXPECT_EQ(seen, (std::set<std::string>{"inner middle outer main\n", "inner in_thread\n",
                                         "first_place main\n", "second_place main\n",
                                         "inner middle executed main\n"}));
}

TEST_P(CallStacksTest, OnlyChosenCallsHaveOneAndAreTold) {
  const TracedRun run = run_traced({target_path("call_places")}, GetParam(), options_for_writes());
  ASSERT_FALSE(run.timed_out);
  std::size_t stacks = 0;
  for (const Event& event : run.events.events) {
    if (const auto* enter = std::get_if<model::SyscallEnter>(&event.data)) {
      const Sys id = syscalls::sys_of(enter->call.abi, enter->call.number);
      EXPECT_TRUE(id != Sys::mmap && id != Sys::mprotect) << enter->call.number;
    }
    if (std::holds_alternative<model::StackSeen>(event.data)) ++stacks;
  }
  EXPECT_EQ(stacks, writes_of(run.events.events).size());
}

TEST_P(CallStacksTest, NoneIsTakenUnasked) {
  const TracedRun run = run_traced({target_path("call_places")}, GetParam());
  ASSERT_FALSE(run.timed_out);
  EXPECT_TRUE(run.events.all<model::StackSeen>().empty());
  EXPECT_FALSE(writes_of(run.events.events).empty());
}

// A thread that was in the call when the tracer came stands in it just as well.
TEST(CallStacks, ACallOpenAtAttachHasOne) {
  Target target({target_path("deep_threads"), "1", "7"});
  ASSERT_TRUE(target.wait_ready());
  Collector events;
  NoLog log;
  const base::SystemClock clock;
  engine::TracerOptions options;
  options.stacks_at = syscalls::TraceSet::none();
  options.stacks_at->add(Sys::read);
  engine::Tracer tracer(options, clock, events, log);
  ASSERT_TRUE(tracer.attach(target.pid()));
  Until two_stacks([&] { return events.all<model::StackSeen>().size() == 2; });
  ASSERT_TRUE(tracer.run(two_stacks));
  ASSERT_FALSE(two_stacks.timed_out);
  std::ptrdiff_t deepest = 0;
  for (const Event& event : events.all<model::StackSeen>()) {
    const auto& frames = std::get<model::StackSeen>(event.data).frames;
    deepest = std::max(deepest, std::ranges::count_if(frames, [](const model::NativeFrame& frame) {
                         return frame.function.find("descend") != std::string::npos;
                       }));
  }
  EXPECT_EQ(deepest, 8);
}

}  // namespace
}  // namespace stucktrace::test
