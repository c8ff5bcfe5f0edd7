#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <functional>
#include <map>
#include <memory>

#include "tracer/base/text.h"
#include "tracer/cli/ci_environment.h"
#include "tracer/cli/commands.h"
#include "tracer/cli/distinct_files.h"
#include "tracer/cli/exit_codes.h"
#include "tracer/cli/failure.h"
#include "tracer/cli/output.h"
#include "tracer/cli/recorded_trace.h"
#include "tracer/record/reader.h"
#include "tracer/render/dot_graph.h"
#include "tracer/render/event_lines.h"
#include "tracer/render/html_report.h"
#include "tracer/render/json_report.h"
#include "tracer/render/junit_report.h"
#include "tracer/render/markdown_report.h"
#include "tracer/render/perfetto_trace.h"
#include "tracer/render/sarif_report.h"
#include "tracer/render/strace_log.h"
#include "tracer/render/text_report.h"
#include "tracer/render/timeline_writer.h"
#include "tracer/render/trace_lanes.h"

namespace stucktrace::cli {
namespace {

struct ExportOptions {
  std::string path;
  std::string format;
  std::string output;
};

// How one format comes to be: from the events as they go by, from the report at the end, or both.
struct Format {
  std::function<std::unique_ptr<render::TraceWriter>(const model::TraceHeader&, Output&)> writer;
  std::function<std::string(const model::Report&, const render::Subject&)> report;
  // From the report and the lanes of the trace.
  std::string (*page)(const model::Report&, const render::Subject&,
                      const render::TraceLanes*) = nullptr;
};

template <class Writer>
std::unique_ptr<render::TraceWriter> make(const model::TraceHeader& header, Output& out) {
  return std::make_unique<Writer>(header, [&out](std::string_view bytes) { out.write(bytes); });
}

std::unique_ptr<render::TraceWriter> timeline(const model::TraceHeader& header, Output& out) {
  return std::make_unique<render::TimelineWriter>(
      render::TimelineOptions{}, header, [&out](std::string_view line) { out.line(line); });
}

const std::map<std::string, Format>& formats() {
  static const std::map<std::string, Format> kFormats = {
      {"text",
       {timeline, [](const auto& report, const auto&) { return render::text_report(report, {}); }}},
      {"strace", {make<render::StraceLog>, nullptr}},
      {"json",
       {nullptr, nullptr,
        [](const auto& report, const auto&, const auto* lanes) {
          return render::json_report(report, lanes) + "\n";
        }}},
      {"ndjson", {make<render::EventLines>, nullptr}},
      {"dot", {nullptr, [](const auto& report, const auto&) { return render::dot_graph(report); }}},
      {"junit", {nullptr, render::junit_report}},
      {"sarif", {nullptr, render::sarif_report}},
      {"markdown",
       {nullptr, [](const auto& report,
                    const auto& subject) { return render::markdown_report(report, subject); }}},
      {"perfetto", {make<render::PerfettoTrace>, nullptr}},
      {"html", {nullptr, nullptr, render::html_report}},
  };
  return kFormats;
}

std::string format_names() {
  std::string names;
  for (const auto& [name, format] : formats()) names += (names.empty() ? "" : ", ") + name;
  return names;
}

int export_recording(const ExportOptions& options) {
  const auto format = formats().find(options.format);
  if (format == formats().end()) {
    return fail(base::usage_error(fmt::format("--format: there is no format {}",
                                              base::escape_text(options.format, 40)),
                                  "one of " + format_names())
                    .error());
  }
  auto reader = record::Reader::open(options.path);
  if (!reader) return fail(reader.error());
  Output out(STDOUT_FILENO, "stdout");
  if (!options.output.empty()) {
    const auto distinct = check_outputs({{options.path, "the recording"}}, {options.output});
    if (!distinct) return fail(distinct.error());
    auto file = Output::create(options.output);
    if (!file) return fail(file.error());
    out = std::move(*file);
  }
  out.gather();  // writers hand out packet by packet, line by line
  std::unique_ptr<render::TraceWriter> writer;
  if (format->second.writer) writer = format->second.writer(reader->header(), out);
  std::unique_ptr<render::TraceLanes> lanes;
  if (format->second.page != nullptr) {
    lanes = std::make_unique<render::TraceLanes>(reader->header().started);
  }
  const auto trace = go_through(*reader, {}, {writer.get(), lanes.get()});
  if (!trace) {
    out.flush();
    return fail(trace.error());
  }
  tell_cut(*reader);
  if (format->second.report || lanes) {
    const model::TraceHeader& header = reader->header();
    render::Subject subject;
    subject.command = header.mode == "launch" ? "run" : "attach";
    subject.words = header.command;
    subject.took = trace->took;
    subject.source_root = CiEnvironment::of_this_process().source_root;
    out.write(lanes ? format->second.page(trace->report, subject, lanes.get())
                    : format->second.report(trace->report, subject));
  }
  out.flush();
  if (auto written = out.check(); !written) return fail(written.error());
  return kExitOk;
}

}  // namespace

void add_export(CLI::App& app, Action& action) {
  CLI::App* command =
      app.add_subcommand("export", "a recording in another format: for other programs, for a page");
  auto options = std::make_shared<ExportOptions>();
  command->add_option("file", options->path, "the recording (run -o, attach -o)")->required();
  command->add_option("--format", options->format, format_names())->required();
  command->add_option("-o,--output", options->output, "write to FILE in place of stdout");
  command->footer("Exits with 0 whatever the recording says: a verdict is what replay is for.");
  command->callback(
      [options, &action] { action = [options] { return export_recording(*options); }; });
}

}  // namespace stucktrace::cli
