#include "tracer/unwind/python_greenlets.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "python_interpreter.h"
#include "tests/fuzz/python_world.h"
#include "tracer/unwind/python_frames.h"
#include "tracer/unwind/python_memory.h"

namespace stucktrace::unwind {
namespace {

class PythonGreenletsInMemory : public testing::TestWithParam<int> {
 protected:
  PythonGreenlets::All read() {
    PythonStacks stacks{objects};
    return PythonGreenlets{objects, stacks, world.interpreter}.read();
  }
  void put(std::uint64_t address, std::uint64_t value) { world.fake.space.put(address, value); }

  PythonWorld world{GetParam()};
  PythonObjects objects{world.fake.space, world.fake.layout};
};
INSTANTIATE_TEST_SUITE_P(Minor, PythonGreenletsInMemory, testing::Range(9, 16));

TEST_P(PythonGreenletsInMemory, OneThatIsSuspendedIsFoundAmongAllObjects) {
  const auto all = read();
  EXPECT_TRUE(all.complete);
  EXPECT_EQ(all.more, 0u);
  ASSERT_EQ(all.greenlets.size(), 1u);
  const model::PythonTask& task = all.greenlets[0].task;
  EXPECT_EQ(all.greenlets[0].address, world.greenlet);
  EXPECT_EQ(task.kind, model::PythonTask::Kind::kGreenlet);
  EXPECT_EQ(task.name, "Greenlet");
  EXPECT_EQ(task.coroutine, "serve");
  ASSERT_EQ(task.frames.size(), 2u);
  EXPECT_EQ(task.frames[0].function, "get");
}

TEST_P(PythonGreenletsInMemory, OneWithoutFrameIsNotSuspended) {
  put(world.greenlet_state + 96, 0);
  // What lies behind the structure is another's.
  put(world.greenlet_state + 120, world.fake.object("frame", 64));
  EXPECT_TRUE(read().greenlets.empty());
  EXPECT_TRUE(read().complete);
}

TEST_P(PythonGreenletsInMemory, AListThatChangesIsNotReadToItsEnd) {
  put(world.greenlet - 8, 0x7000);
  const auto all = read();
  EXPECT_FALSE(all.complete);
  EXPECT_TRUE(all.greenlets.empty());
}

TEST_P(PythonGreenletsInMemory, ACircleInTheListEnds) {
  std::uint64_t before = 0;
  ASSERT_TRUE(world.fake.space.read_value(base::RemoteAddr{world.greenlet - 8}, before));
  put(before, before);
  const auto all = read();
  EXPECT_FALSE(all.complete);
  EXPECT_TRUE(all.greenlets.empty());
}

TEST_P(PythonGreenletsInMemory, AListWhoseHeadIsNotFoundIsMissing) {
  put(world.greenlet - 16, 0x7000);
  const auto all = read();
  EXPECT_FALSE(all.complete);
  EXPECT_TRUE(all.greenlets.empty());
}

TEST_P(PythonGreenletsInMemory, AnotherModuleOfThatNameIsNone) {
  const std::string other = "other.greenlet";
  const std::uint64_t text = world.fake.space.allocate(other.size() + 1);
  world.fake.space.put_bytes(text, other.data(), other.size());
  const auto name = static_cast<std::uint64_t>(world.fake.layout.type_name);
  put(world.fake.type("greenlet.greenlet") + name, text);
  EXPECT_TRUE(read().greenlets.empty());
}

// Real ones: each line of the script says what is true of the greenlets that run one function.
class PythonGreenletsLive : public testing::TestWithParam<std::string> {};

std::vector<std::string> interpreters_or_none() {
  auto found = interpreters_here();
  if (found.empty()) found.emplace_back();
  return found;
}

std::string readable_name(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param.empty() ? "none" : info.param;
  std::ranges::replace_if(name, [](unsigned char byte) { return std::isalnum(byte) == 0; }, '_');
  return name;
}
INSTANTIATE_TEST_SUITE_P(Here, PythonGreenletsLive, testing::ValuesIn(interpreters_or_none()),
                         readable_name);

TEST_P(PythonGreenletsLive, SayWhereTheyAreSuspended) {
  if (GetParam().empty()) GTEST_SKIP() << "no Python interpreter on this machine";
  RunningScript running{GetParam(), STUCKTRACE_SOURCE_DIR "/tests/support/python/greenlets.py"};
  auto truth = running.lines();
  if (truth.empty()) GTEST_SKIP() << "no greenlet in this interpreter, or it is older than 3.9";
  truth.pop_back();
  std::ranges::sort(truth);
  ASSERT_EQ(truth.size(), 9u);
  std::vector<std::string> seen;
  holds_eventually([&] {
    const auto process = read_python(running.pid());
    if (!process) return false;
    seen.clear();
    for (const model::PythonTask& task : process->interpreter.tasks) {
      if (task.kind != model::PythonTask::Kind::kGreenlet) continue;
      std::string line = task.name;
      for (const model::PythonFrame& frame : task.frames) {
        line += fmt::format(" {}:{}", frame.function, frame.line);
      }
      seen.push_back(line);
      EXPECT_EQ(task.tid, base::main_thread(running.pid()));
    }
    std::ranges::sort(seen);
    return seen == truth && process->interpreter.tasks_left_out == 0 &&
           process->interpreter.note.empty();
  });
  EXPECT_EQ(seen, truth);
}

}  // namespace
}  // namespace stucktrace::unwind
