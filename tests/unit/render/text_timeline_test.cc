#include "tracer/render/text_timeline.h"

#include <gtest/gtest.h>

#include "tests/unit/render/birth_case.h"

namespace stucktrace::render {
namespace {

using test::EventScript;

TEST(TextTimeline, Look) {
  for (auto level : {TimelineLevel::kStory, TimelineLevel::kCalls, TimelineLevel::kAll}) {
    TimelineOptions options;
    options.level = level;
    TextTimeline timeline(options, EventScript::kStart, [](std::string_view line) {
      printf("%.*s\n", (int)line.size(), line.data());
    });
    bool reported = false, resolved = false;
    for (const auto& event : test::birth_case().events()) {
      if (!reported && event.at > EventScript::at_ms(1262)) {
        timeline.finding(test::birth_finding());
        reported = true;
      }
      timeline.on_event(event);
      if (!resolved && event.at >= EventScript::at_ms(5063.5)) {
        auto r = test::birth_finding();
        r.resolved_at = event.at;
        r.resolved_by = "P1 read the pipe (fd 3)";
        timeline.finding(r);
        resolved = true;
      }
    }
    timeline.close();
    printf("\n");
  }
}
}  // namespace
}  // namespace stucktrace::render
