// Real interpreters: whose end a thread waits for, and tasks of asyncio, against the scripts' word.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <sstream>
#include <string>

#include "python_interpreter.h"
#include "tracer/kernel/procfs.h"
#include "tracer/unwind/python_frames.h"

namespace stucktrace::unwind {
namespace {

std::string script(const std::string& name) {
  return STUCKTRACE_SOURCE_DIR "/tests/support/python/" + name;
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

class PythonEnds : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (GetParam().empty()) GTEST_SKIP() << "no Python interpreter on this machine";
  }
  const PythonThread* find(std::string_view name) const {
    const auto found = std::ranges::find(process.threads, name, &PythonThread::name);
    return found == process.threads.end() ? nullptr : &*found;
  }
  // "idle", "worker 12" or "-": whose end this thread waits for.
  std::string awaited(std::string_view name) const {
    const PythonThread* thread = find(name);
    if (thread == nullptr) return "no such thread";
    const auto& end = thread->awaited_end;
    if (!end) return "-";
    if (end->pthread == 0) return fmt::format("{} {}", end->object, end->pid);
    const auto target = std::ranges::find(process.threads, end->pthread, &PythonThread::pthread);
    if (target == process.threads.end()) return "a thread that is not there";
    return target->name == end->object ? end->object : "differs: " + target->name;
  }
  bool on_that_word(base::Pid pid, std::string_view name) const {
    constexpr int kFutex = 202;
    const PythonThread* thread = find(name);
    const auto line = kernel::Procfs{}.syscall(pid, thread->tid);
    if (!line || !*line || (*line)->call.number != kFutex) return false;
    return thread->awaited_end->futex == 0 || thread->awaited_end->futex == (*line)->call.args[0];
  }

  PythonProcess process;
};
INSTANTIATE_TEST_SUITE_P(Here, PythonEnds, testing::ValuesIn(interpreters_or_none()),
                         readable_name);

TEST_P(PythonEnds, AreReadOffTheFrames) {
  RunningScript running{GetParam(), script("joins.py")};
  ASSERT_EQ(running.lines().size(), 1u);
  std::string last;
  const bool seen = holds_eventually([&] {
    auto read = read_python(running.pid());
    if (!read) return false;
    process = std::move(*read);
    last.clear();
    bool all = awaited("MainThread") == "last" && awaited("joins") == "idle" &&
               awaited("joins with a limit") == "idle" && on_that_word(running.pid(), "joins") &&
               on_that_word(running.pid(), "MainThread") &&
               process.interpreter.gil_holder == base::Tid{};
    for (const PythonThread& thread : process.threads) {
      last += fmt::format("{}: {}\n", thread.name, awaited(thread.name));
      for (const model::PythonFrame& frame : thread.frames) {
        last += fmt::format("    {} {}:{}\n", frame.function, frame.file, frame.line);
      }
      const std::size_t number = thread.name.rfind(' ');
      const std::string pid = number == std::string::npos ? "" : thread.name.substr(number + 1);
      if (thread.name.starts_with("process")) all = all && awaited(thread.name) == "worker " + pid;
      if (thread.name.starts_with("popen")) all = all && awaited(thread.name) == "Popen " + pid;
    }
    return all;
  });
  EXPECT_TRUE(seen) << last;
  EXPECT_EQ(awaited("idle"), "-");
  EXPECT_EQ(awaited("lock"), "-");
  EXPECT_EQ(awaited("event"), "-");
}

TEST_P(PythonEnds, ARunningThreadHasTheLock) {
  RunningScript running{GetParam(), script("spinner.py")};
  ASSERT_EQ(running.lines().size(), 1u);
  std::string last;
  const bool seen = holds_eventually([&] {
    auto read = read_python(running.pid());
    if (!read) return false;
    process = std::move(*read);
    const auto& holder = process.interpreter.gil_holder;
    last = holder ? fmt::format("{}", *holder) : holder.error().because;
    const PythonThread* spinner = find("spinner");
    return holder && spinner != nullptr && *holder == spinner->tid;
  });
  EXPECT_TRUE(seen) << last;
}

// "NAME runs COROUTINE awaits WHAT" and its frames.
std::multiset<std::string> parse_tasks(const std::vector<std::string>& lines) {
  std::multiset<std::string> tasks;
  std::string text;
  for (const std::string& line : lines) {
    if (line.starts_with("task ") || line == "ready") {
      if (!text.empty()) tasks.insert(text);
      text = line == "task -" ? "task " : line;
    } else {
      text += "\n" + line;
    }
  }
  return tasks;
}

std::multiset<std::string> show_tasks(const model::Interpreter& interpreter) {
  std::multiset<std::string> tasks;
  for (const model::PythonTask& task : interpreter.tasks) {
    std::string text =
        fmt::format("task {}\nruns {}\nawaits {}", task.name, task.coroutine, task.awaits);
    for (const model::PythonFrame& frame : task.frames) {
      text += fmt::format("\nframe {} {} {}", frame.line, frame.function, frame.file);
    }
    tasks.insert(std::move(text));
  }
  return tasks;
}

TEST_P(PythonEnds, TasksOfAsyncioSayWhereTheyWait) {
  RunningScript running{GetParam(), script("tasks.py")};
  const auto lines = running.lines();
  if (lines.empty()) GTEST_SKIP() << "a version without asyncio.all_tasks()";
  const auto truth = parse_tasks(lines);
  ASSERT_EQ(truth.size(), 9u);
  std::multiset<std::string> tasks;
  holds_eventually([&] {
    auto read = read_python(running.pid());
    if (!read) return false;
    process = std::move(*read);
    tasks = show_tasks(process.interpreter);
    return tasks == truth;
  });
  EXPECT_EQ(tasks, truth);
  EXPECT_EQ(process.interpreter.tasks_left_out, 0u);
  for (const model::PythonTask& task : process.interpreter.tasks) {
    EXPECT_EQ(task.tid, base::main_thread(running.pid())) << task.name;
    EXPECT_FALSE(task.current) << task.name;
  }
}

}  // namespace
}  // namespace stucktrace::unwind
