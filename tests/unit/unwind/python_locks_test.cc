#include "tracer/unwind/python_locks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>

#include "python_interpreter.h"
#include "tracer/kernel/procfs.h"
#include "tracer/unwind/python_frames.h"

namespace stucktrace::unwind {
namespace {

std::vector<std::byte> table(std::initializer_list<int> values) {
  std::vector<std::byte> bytes;
  for (const int value : values) bytes.push_back(static_cast<std::byte>(value));
  return bytes;
}

TEST(HandlerDepth, OfTheEntryThatCoversTheInstruction) {
  // Units 2 to 6 at depth 1, 100 to 179 at depth 3; both handlers want the instruction, too.
  const auto entries = table({0x82, 5, 10, 3, 0xc1, 36, 0x41, 16, 20, 7});
  EXPECT_EQ(handler_depth(entries, 2), 0u);
  EXPECT_EQ(handler_depth(entries, 4), 1u);
  EXPECT_EQ(handler_depth(entries, 13), 1u);
  EXPECT_EQ(handler_depth(entries, 14), 0u);
  EXPECT_EQ(handler_depth(entries, 200), 3u);
  EXPECT_EQ(handler_depth(entries, 359), 3u);
  EXPECT_EQ(handler_depth(entries, 360), 0u);
  EXPECT_EQ(handler_depth(entries, -2), 0u);
}

TEST(HandlerDepth, AMalformedTableHasNoHandlers) {
  EXPECT_EQ(handler_depth({}, 4), 0u);
  EXPECT_EQ(handler_depth(table({0x80, 5, 10}), 4), 0u);
  EXPECT_EQ(handler_depth(std::vector(64, std::byte{0xff}), 4), 0u);
}

std::string readable_name(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param.empty() ? "none" : info.param;
  std::ranges::replace_if(name, [](unsigned char byte) { return std::isalnum(byte) == 0; }, '_');
  return name;
}

std::vector<std::string> interpreters_or_none() {
  auto found = interpreters_here();
  if (found.empty()) found.emplace_back();
  return found;
}

std::map<base::Tid, std::uint64_t> futex_waits(base::Pid pid) {
  constexpr int kFutex = 202;
  const kernel::Procfs procfs;
  std::map<base::Tid, std::uint64_t> waits;
  for (const base::Tid tid : procfs.tasks(pid).value_or(std::vector<base::Tid>{})) {
    const auto line = procfs.syscall(pid, tid);
    if (line && *line && (*line)->call.number == kFutex) waits[tid] = (*line)->call.args[0];
  }
  return waits;
}

class PythonLocksLive : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (GetParam().empty()) GTEST_SKIP() << "no Python interpreter on this machine";
  }

  const PythonThread* find(std::string_view name) const {
    const auto found = std::ranges::find(process.threads, name, &PythonThread::name);
    return found == process.threads.end() ? nullptr : &*found;
  }
  // Who the frames say holds the lock that this thread waits for; "nothing": it waits for no lock.
  std::string holder_of(std::string_view name) const {
    const PythonThread* waiter = find(name);
    if (waiter == nullptr || !waiter->lock_wait) return "nothing";
    std::string names;
    for (const PythonThread& thread : process.threads) {
      const bool holds = std::ranges::count(thread.held_locks, waiter->lock_wait->lock) != 0;
      if (holds) names += (names.empty() ? "" : " ") + thread.name;
    }
    return names;
  }
  std::uint64_t recorded_owner_of(std::string_view name) const {
    const PythonThread* waiter = find(name);
    return waiter == nullptr || !waiter->lock_wait ? 0 : waiter->lock_wait->owner;
  }
  bool only_own(std::string_view name) const {
    const PythonThread* waiter = find(name);
    return waiter != nullptr && waiter->lock_wait && waiter->lock_wait->only_own_references;
  }
  // Reads until all that are to wait for a lock do, every thread having been read at rest.
  bool read(base::Pid pid) {
    static constexpr std::string_view kSuffix = "-waiter";
    auto look = read_python(pid, futex_waits(pid));
    if (!look) return false;
    process = std::move(*look);
    const bool all_wait = std::ranges::all_of(process.threads, [&](const PythonThread& thread) {
      return !thread.name.ends_with(kSuffix) || thread.lock_wait.has_value();
    });
    const PythonThread* queue = find("queue");
    const PythonThread* event = find("event");
    return all_wait && holder_of("left") == "right" && holder_of("right") == "left" &&
           only_own("alone") && queue != nullptr && !queue->frames.empty() && event != nullptr &&
           !event->frames.empty() && event->frames.front().function == "wait";
  }

  PythonProcess process;
};
INSTANTIATE_TEST_SUITE_P(Here, PythonLocksLive, testing::ValuesIn(interpreters_or_none()),
                         readable_name);

TEST_P(PythonLocksLive, NamesTheHolderWhereTheFramesProveIt) {
  RunningScript running{GetParam(), STUCKTRACE_SOURCE_DIR "/tests/support/python/locks.py"};
  ASSERT_FALSE(running.lines().empty());
  EXPECT_TRUE(holds_eventually([&] { return read(running.pid()); }));
  EXPECT_EQ(process.threads.size(), 27u);
  for (const std::string name : {"plain", "outer", "nested", "shared", "condition", "joining"}) {
    EXPECT_EQ(holder_of(name + "-waiter"), name + "-holder");
    EXPECT_FALSE(only_own(name + "-waiter"));
  }
  EXPECT_EQ(holder_of("left"), "right");
  EXPECT_EQ(holder_of("right"), "left");
  // A recursive lock says itself who has it.
  for (const std::string name : {"recursive", "nested"}) {
    const PythonThread* holder = find(name + "-holder");
    ASSERT_NE(holder, nullptr);
    EXPECT_EQ(recorded_owner_of(name + "-waiter"), holder->pthread);
  }
  EXPECT_EQ(recorded_owner_of("plain-waiter"), 0u);
  // Taken by a call: no frame tells. And blocks whose lock was given away hold nothing.
  EXPECT_EQ(holder_of("called-waiter"), "");
  EXPECT_EQ(holder_of("sleeper-waiter"), "");
  EXPECT_EQ(holder_of("giver-waiter"), "");
  // What the library makes of locks is not a lock.
  EXPECT_EQ(holder_of("queue"), "nothing");
  EXPECT_EQ(holder_of("event"), "nothing");
  EXPECT_EQ(holder_of("sleeper"), "nothing");
  EXPECT_TRUE(only_own("alone"));
  EXPECT_FALSE(only_own("left"));
}

}  // namespace
}  // namespace stucktrace::unwind
