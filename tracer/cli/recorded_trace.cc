#include "tracer/cli/recorded_trace.h"

#include <variant>

#include "tracer/base/log.h"

namespace stucktrace::cli {

base::Result<RecordedTrace> go_through(record::Reader& reader,
                                       const std::vector<std::string>& announce,
                                       const std::vector<render::TraceWriter*>& writers) {
  const model::TraceHeader& header = reader.header();
  // The settings of the recorded run decide, so that the verdicts are the same.
  diagnose::Settings diagnosis;
  diagnosis.stuck_after = header.stuck_after;
  diagnosis.announce = header.announce;
  diagnosis.announce.insert(diagnosis.announce.end(), announce.begin(), announce.end());
  auto analysis = Analysis::create(diagnosis);
  if (!analysis) return base::Failure{analysis.error()};

  base::Instant last = header.started;
  for (;;) {
    auto event = reader.next();
    if (!event) return base::Failure{event.error()};
    if (!*event) break;
    last = (*event)->at;
    (*analysis)->on_event(**event);
    for (render::TraceWriter* writer : writers) {
      if (writer != nullptr) writer->on_event(**event);
    }
    if (!std::holds_alternative<model::Sample>((*event)->data)) continue;
    for (const model::FindingRecord& record : (*analysis)->take_news()) {
      for (render::TraceWriter* writer : writers) {
        if (writer != nullptr) writer->finding(record);
      }
    }
  }
  for (render::TraceWriter* writer : writers) {
    if (writer != nullptr) writer->close();
  }

  RecordedTrace trace;
  trace.took = last - header.started;
  trace.report.tool_version = header.tool_version;
  trace.report.host = header.host;
  trace.report.taken_at = last;
  trace.report.taken_wall = header.started_wall + trace.took;
  trace.report.snapshot = (*analysis)->last_snapshot();
  trace.report.diagnosis = (*analysis)->last_diagnosis();
  trace.report.history = (*analysis)->findings();
  if (trace.report.snapshot) trace.report.could_not_see = trace.report.snapshot->could_not_see;
  return trace;
}

void tell_cut(const record::Reader& reader) {
  if (!reader.cut()) return;
  base::StderrLog(base::LogLevel::kNormal).say(base::LogLevel::kNormal, *reader.cut());
}

}  // namespace stucktrace::cli
