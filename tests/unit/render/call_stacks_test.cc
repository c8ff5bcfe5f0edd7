// Stacks of calls, in the timeline and in every format that tells events.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tests/support/event_script.h"
#include "tests/unit/render/trace_text.h"
#include "tracer/render/event_lines.h"
#include "tracer/render/perfetto_trace.h"
#include "tracer/render/strace_log.h"
#include "tracer/render/text_timeline.h"

namespace stucktrace::render {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

using Lines = std::vector<std::string>;

Lines timeline_of(const EventScript& script, TimelineLevel level) {
  TimelineOptions options;
  options.level = level;
  Lines lines;
  TextTimeline timeline(options, EventScript::kStart,
                        [&](std::string_view line) { lines.emplace_back(line); });
  for (const model::Event& event : script.events()) timeline.on_event(event);
  timeline.close();
  return lines;
}

TEST(TextTimeline, StacksStandUnderTheirCalls) {
  EventScript script;
  script.seen(0, 10, 10, {});
  script.enter(1, 10, 10, "close", {7}).stack(1, 10, 10, {"close", "tidy", "main"});
  script.exit(1.5, 10, 10, "close", {7}, 0);
  script.enter(2, 10, 10, "close", {8}).stack(2, 10, 10, {"close", "tidy", "main"});
  script.exit(2.5, 10, 10, "close", {8}, 0);
  script.enter(3, 10, 10, "close", {9});
  model::StackSeen none;
  none.note = "stacks of 32-bit code are not read";
  script.add(3, 10, 10, none).exit(3.5, 10, 10, "close", {9}, 0);
  // Whatever is shown otherwise: a call with a stack was asked for.
  for (const auto level : {TimelineLevel::kStory, TimelineLevel::kAll}) {
    const Lines lines = timeline_of(script, level);
    ASSERT_EQ(lines.size(), 8U);
    const std::size_t column = lines[0].find("close(7)");
    ASSERT_NE(column, std::string::npos);
    const std::string before(column + 2, ' ');
    EXPECT_EQ(lines[1], before + "at close+0x12 (program)");
    EXPECT_EQ(lines[2], before + "at tidy+0x12 (program)");
    EXPECT_EQ(lines[3], before + "at main+0x12 (program)");
    EXPECT_THAT(lines[4], HasSubstr("close(8)"));
    EXPECT_EQ(lines[5], before + (level == TimelineLevel::kStory ? "(the stack of 0.001)"
                                                                 : "(the stack of 0.001000)"));
    EXPECT_THAT(lines[6], HasSubstr("close(9)"));
    EXPECT_EQ(lines[7], before + "(stacks of 32-bit code are not read)");
  }
}

TEST(TextTimeline, AFoldedLoopHasTheStackOfItsCallsOnce) {
  EventScript script;
  script.seen(0, 10, 10, {});
  for (int i = 0; i < 10; ++i) {
    script.enter(i + 1, 10, 10, "sched_yield", {}).stack(i + 1, 10, 10, {"sched_yield", "spin"});
    script.exit(i + 1.5, 10, 10, "sched_yield", {}, 0);
  }
  const Lines lines = timeline_of(script, TimelineLevel::kStory);
  const auto frames = std::ranges::count_if(
      lines, [](const std::string& line) { return line.find("at spin") != std::string::npos; });
  EXPECT_EQ(frames, 1);
  EXPECT_THAT(lines, testing::Contains(HasSubstr("×")));
}

TEST(TextTimeline, PythonFramesStandInPlaceOfTheInterpreters) {
  EventScript script;
  script.seen(0, 10, 10, {});
  model::StackSeen seen;
  seen.frames.push_back({0x1000, "write", "/lib/libc.so.6", 0x12, "", 0});
  seen.frames.push_back({0x2000, "_PyEval_EvalFrameDefault", "/usr/bin/python3", 0x12, "", 0});
  seen.frames.push_back({0x3000, "Py_BytesMain", "/usr/bin/python3", 0x12, "", 0});
  seen.python.push_back({"put", "/usr/lib/queue.py", 42, true});
  script.enter(1, 10, 10, "close", {7}).add(1, 10, 10, seen).exit(2, 10, 10, "close", {7}, 0);
  const Lines lines = timeline_of(script, TimelineLevel::kStory);
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_TRUE(lines[1].ends_with("  at write+0x12 (libc.so.6)")) << lines[1];
  EXPECT_TRUE(lines[2].ends_with("  py /usr/lib/queue.py:42 put")) << lines[2];
}

TEST(StraceLog, StacksFollowTheirCalls) {
  EventScript script;
  script.seen(0, 10, 10, {});
  script.enter(1, 10, 10, "close", {7}).stack(1, 10, 10, {"a", "b"});
  script.call(1.2, 1.4, 10, 11, "close", {8}, 0);
  script.exit(1.5, 10, 10, "close", {7}, 0);
  script.enter(2, 10, 10, "pause", {});
  model::StackSeen nameless;
  nameless.frames.push_back({0x7f00, "", "/usr/lib/a\nb.so", 0, "", 0});
  script.add(2, 10, 10, nameless);
  EXPECT_THAT(
      lines_of(written<StraceLog>(script)),
      ElementsAre(
          "10    1772366400.001000 close(7)                                = 0 <0.000500>",
          " > /usr/bin/program(a+0x12) [0x400061]", " > /usr/bin/program(b+0x12) [0x400062]",
          "11    1772366400.001200 close(8)                                = 0 <0.000200>",
          "10    1772366400.002000 pause( <unfinished ...>", " > /usr/lib/a\\nb.so() [0x7f00]"));
}

TEST(EventLines, TellStacksAsReportsDo) {
  EventScript script;
  script.seen(0, 10, 10, {});
  model::StackSeen seen;
  seen.frames.push_back({0x1000, "write", "/lib/libc.so.6", 0x12, "write.c", 26});
  seen.python.push_back({"put", "/usr/lib/queue.py", 42, true});
  seen.note = "ends early";
  script.enter(1, 10, 10, "close", {7}).add(1, 10, 10, seen);
  for (const std::string& line : lines_of(written<EventLines>(script))) {
    const json object = json::parse(line);
    if (object["type"] != "stack") continue;
    EXPECT_EQ(object["tid"], 10);
    EXPECT_EQ(object["stack"], json::parse(R"([{"pc": "0x1000", "function": "write",
        "module": "/lib/libc.so.6", "offset": "0x12", "file": "write.c", "line": 26}])"));
    EXPECT_EQ(object["python"], json::parse(R"([{"function": "put", "file": "/usr/lib/queue.py",
        "line": 42}])"));
    EXPECT_EQ(object["note"], "ends early");
    return;
  }
  FAIL() << "no line tells the stack";
}

TEST(PerfettoTrace, StacksAreAnnotationsOfTheirSlices) {
  EventScript script;
  script.seen(0, 10, 10, {});
  script.enter(1, 10, 10, "close", {7}).stack(1, 10, 10, {"tidy", "main"});
  script.exit(2, 10, 10, "close", {7}, 0);
  std::string bytes;
  for (const std::string& part : lines_of(written<PerfettoTrace>(script))) bytes += part + "\n";
  EXPECT_THAT(bytes, HasSubstr("frame 0"));
  EXPECT_THAT(bytes, HasSubstr("at tidy+0x12 (program)"));
  EXPECT_THAT(bytes, HasSubstr("at main+0x12 (program)"));
}

}  // namespace
}  // namespace stucktrace::render
