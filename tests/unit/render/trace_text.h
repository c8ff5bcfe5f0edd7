#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tests/support/event_script.h"
#include "tracer/base/text.h"
#include "tracer/render/trace_writer.h"

namespace stucktrace::render {

using test::EventScript;

inline model::TraceHeader header() {
  model::TraceHeader header;
  header.tool_version = "0.1.0";
  header.mode = "launch";
  header.command = {"python3", "hang.py"};
  header.started = EventScript::kStart;
  header.started_wall = std::chrono::seconds{1'772'366'400};
  header.host = "Linux 6.1.0 x86_64";
  header.roots = {base::Pid{4711}};
  return header;
}

inline void feed(TraceWriter& writer, const EventScript& script,
                 const model::FindingRecord* record = nullptr) {
  for (const model::Event& event : script.events()) {
    if (record != nullptr && event.at > record->first_reported) {
      writer.finding(*record);
      record = nullptr;
    }
    writer.on_event(event);
  }
  writer.close();
}

template <class Writer, class... More>
std::string written(const EventScript& script, const model::FindingRecord* record = nullptr,
                    More... more) {
  std::string out;
  Writer writer(header(), [&out](std::string_view bytes) { out += bytes; }, more...);
  feed(writer, script, record);
  return out;
}

inline std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (const std::string_view line : base::split(text, '\n')) lines.emplace_back(line);
  if (!lines.empty() && lines.back().empty()) lines.pop_back();
  return lines;
}

inline EventScript two_threads() {
  EventScript script;
  script.seen(0, 10, 10, {});
  script.made(0.1, 10, 10, 11, model::NewTaskKind::kThread, true);
  script.seen(0.2, 10, 11, {});
  return script;
}

}  // namespace stucktrace::render
