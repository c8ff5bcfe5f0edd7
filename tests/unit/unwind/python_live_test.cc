// Real interpreters: each script says itself what is true, and what was read must be the same.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <sstream>

#include "python_interpreter.h"
#include "tracer/kernel/procfs.h"
#include "tracer/kernel/remote_memory.h"
#include "tracer/unwind/python_frames.h"
#include "tracer/unwind/python_image.h"
#include "tracer/unwind/python_memory.h"
#include "tracer/unwind/python_state.h"

namespace stucktrace::unwind {
namespace {

std::string script(const std::string& name) {
  return STUCKTRACE_SOURCE_DIR "/tests/support/python/" + name;
}

struct TrueThread {
  std::uint64_t pthread = 0;
  base::Tid tid;
  std::string name;
  std::vector<model::PythonFrame> frames;
};

std::vector<TrueThread> parse_truth(const std::vector<std::string>& lines) {
  std::vector<TrueThread> threads;
  for (const std::string& line : lines) {
    std::istringstream words(line);
    std::string kind;
    words >> kind;
    if (kind == "thread") {
      TrueThread thread;
      std::int32_t tid = 0;
      words >> thread.pthread >> tid;
      thread.tid = base::Tid{tid};
      words.get();
      std::getline(words, thread.name);
      threads.push_back(thread);
    } else if (kind == "frame" && !threads.empty()) {
      model::PythonFrame frame;
      words >> frame.line >> frame.function;
      words.get();
      std::getline(words, frame.file);
      threads.back().frames.push_back(frame);
    }
  }
  return threads;
}

std::string show(const std::vector<model::PythonFrame>& frames, bool with_lines) {
  std::string text;
  for (const model::PythonFrame& frame : frames) {
    text += fmt::format("{} {} {}\n", frame.function, frame.file, with_lines ? frame.line : 0);
  }
  return text;
}

const PythonThread* find_thread(const PythonProcess& process, base::Tid tid) {
  for (const PythonThread& thread : process.threads) {
    if (thread.tid == tid) return &thread;
  }
  return nullptr;
}

const PythonThread* find_thread(const PythonProcess& process, std::string_view name) {
  for (const PythonThread& thread : process.threads) {
    if (thread.name == name) return &thread;
  }
  return nullptr;
}

bool has_frame(const PythonThread* thread, std::string_view function, std::string_view file_end) {
  return thread != nullptr &&
         std::ranges::any_of(thread->frames, [&](const model::PythonFrame& frame) {
           return frame.function == function && frame.file.ends_with(file_end);
         });
}

bool waits_for_input(base::Pid pid) {
  constexpr int kRead = 0;
  const auto call = kernel::Procfs{}.syscall(pid, base::main_thread(pid));
  return call && *call && (*call)->call.number == kRead && (*call)->call.args[0] == 0;
}

std::string readable_name(const testing::TestParamInfo<std::string>& info) {
  std::string name;
  for (const char byte : info.param) {
    const bool word = std::isalnum(static_cast<unsigned char>(byte)) != 0;
    if (word || !name.ends_with('_')) name.push_back(word ? byte : '_');
  }
  return name.empty() ? "none" : name;
}

std::vector<std::string> interpreters_or_none() {
  auto found = interpreters_here();
  if (found.empty()) found.emplace_back();
  return found;
}

class PythonLive : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (GetParam().empty()) GTEST_SKIP() << "no Python interpreter on this machine";
  }
};
INSTANTIATE_TEST_SUITE_P(Here, PythonLive, testing::ValuesIn(interpreters_or_none()),
                         readable_name);

TEST_P(PythonLive, SaysWhatTheScriptSays) {
  RunningScript running{GetParam(), script("truth.py")};
  const auto truth = parse_truth(running.lines());
  ASSERT_EQ(truth.size(), 7u);
  ASSERT_TRUE(holds_eventually([&] { return waits_for_input(running.pid()); }));
  const auto process = read_python(running.pid());
  ASSERT_TRUE(process) << process.error().message();
  EXPECT_FALSE(process->interpreter.finalizing.value_or(false));
  EXPECT_EQ(process->threads.size(), truth.size());
  ASSERT_FALSE(process->threads.empty());
  EXPECT_EQ(process->threads.front().tid, base::main_thread(running.pid()));
  for (const TrueThread& expected : truth) {
    SCOPED_TRACE(expected.name);
    const PythonThread* thread = find_thread(*process, expected.tid);
    ASSERT_NE(thread, nullptr);
    EXPECT_EQ(thread->name, expected.name);
    EXPECT_EQ(thread->pthread, expected.pthread);
    auto frames = expected.frames;
    if (frames.size() > kMaxPythonFrames) frames.resize(kMaxPythonFrames);
    // On 2.7 a timed wait polls: its line goes round a loop.
    const bool timed = expected.name == "timed";
    EXPECT_EQ(show(thread->frames, !timed), show(frames, !timed));
    EXPECT_EQ(thread->deadline_in.has_value(), timed);
    if (timed && thread->deadline_in) {
      EXPECT_LT(*thread->deadline_in, std::chrono::seconds(1000));
      EXPECT_GT(*thread->deadline_in, std::chrono::seconds(900));
    }
  }
}

TEST_P(PythonLive, ChildThatCannotExitBecauseOfItsQueue) {
  RunningScript running{GetParam(), script("feeder.py")};
  const auto lines = running.lines();
  ASSERT_EQ(lines.size(), 2u);
  const base::Pid child{std::stoi(lines[0].substr(lines[0].find(' ')))};
  std::string last;
  const bool seen = holds_eventually([&] {
    const auto process = read_python(child);
    if (!process) {
      last = process.error().message();
      return false;
    }
    last.clear();
    for (const PythonThread& thread : process->threads) {
      last += fmt::format("{} {}\n{}", thread.tid, thread.name, show(thread.frames, true));
    }
    return has_frame(find_thread(*process, "QueueFeederThread"), "_feed",
                     "/multiprocessing/queues.py") &&
           has_frame(find_thread(*process, base::main_thread(child)), "_exit_function",
                     "/multiprocessing/util.py") &&
           has_frame(find_thread(*process, base::main_thread(child)), "join", "/threading.py");
  });
  EXPECT_TRUE(seen) << last;
  const bool parent_waits = holds_eventually([&] {
    const auto process = read_python(running.pid());
    const auto* main = process ? find_thread(*process, "MainThread") : nullptr;
    return has_frame(main, "join", "/multiprocessing/process.py") && main->deadline_in &&
           *main->deadline_in > std::chrono::seconds(400) &&
           *main->deadline_in < std::chrono::seconds(500);
  });
  EXPECT_TRUE(parent_waits);
}

TEST_P(PythonLive, RunningThreadHasAPossibleStackOrNone) {
  RunningScript running{GetParam(), script("spinner.py")};
  ASSERT_EQ(running.lines().size(), 1u);
  const std::vector<std::string> calls = {"spin", "first", "second", "third"};
  int seen = 0;
  bool held = false;
  const bool enough = holds_eventually([&] {
    const auto process = read_python(running.pid());
    if (!process) return false;
    const PythonThread* thread = find_thread(*process, "spinner");
    if (thread == nullptr) return false;
    held = held || thread->holds_gil;
    std::vector<std::string> own;
    for (const model::PythonFrame& frame : thread->frames) {
      if (frame.file == script("spinner.py")) own.insert(own.begin(), frame.function);
    }
    if (own.empty()) return false;
    EXPECT_LE(own.size(), calls.size());
    own.resize(std::min(own.size(), calls.size()));
    EXPECT_TRUE(std::equal(own.begin(), own.end(), calls.begin())) << show(thread->frames, true);
    EXPECT_EQ(thread->frames.size(), own.size() + 3) << show(thread->frames, true);
    ++seen;
    return seen >= 100 && held;
  });
  EXPECT_TRUE(enough) << seen << " stacks, lock held: " << held;
}

// A stripped 2.7 or 3.6 names neither its list of interpreters nor, while all wait, a thread.
TEST_P(PythonLive, InterpreterIsFoundWithoutSymbols) {
  RunningScript running{GetParam(), script("truth.py")};
  ASSERT_FALSE(running.lines().empty());
  ASSERT_TRUE(holds_eventually([&] { return waits_for_input(running.pid()); }));
  auto mappings = find_python_images(kernel::Procfs{}, running.pid());
  ASSERT_TRUE(mappings);
  ASSERT_FALSE(mappings->images.empty());
  const kernel::ProcessMemory memory{base::main_thread(running.pid())};
  const auto build = identify_python(memory, mappings->images);
  ASSERT_TRUE(build) << build.error().message();
  const PythonObjects objects{memory, build->layout};
  const auto expected = find_interpreters(objects, *mappings);
  ASSERT_EQ(expected.size(), 1u);
  if (build->layout.runtime_interpreters >= 0) return;  // 3.7+: always names its runtime
  for (PythonImage& image : mappings->images) image.interpreters = 0;
  EXPECT_EQ(find_interpreters(objects, *mappings), expected) << "off the code";
  for (PythonImage& image : mappings->images) image.interpreters_fn = 0;
  EXPECT_EQ(find_interpreters(objects, *mappings), expected) << "searched for";
  mappings->heap.clear();
  EXPECT_TRUE(find_interpreters(objects, *mappings).empty());
}

TEST(PythonRefusal, AProcessWithoutInterpreter) {
  const auto process = read_python(base::Pid{::getpid()});
  ASSERT_FALSE(process);
  EXPECT_EQ(process.error().kind, base::ErrorKind::kUnsupported);
}

TEST(PythonRefusal, AProcessThatIsGone) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  const auto process = read_python(base::Pid{child});
  ASSERT_FALSE(process);
  EXPECT_EQ(process.error().kind, base::ErrorKind::kGone) << process.error().message();
}

}  // namespace
}  // namespace stucktrace::unwind
