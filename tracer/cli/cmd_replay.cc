#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "tracer/cli/analysis.h"
#include "tracer/cli/commands.h"
#include "tracer/cli/exit_codes.h"
#include "tracer/cli/failure.h"
#include "tracer/cli/options.h"
#include "tracer/cli/output.h"
#include "tracer/cli/report_output.h"
#include "tracer/record/reader.h"
#include "tracer/render/text_timeline.h"

namespace stucktrace::cli {
namespace {

struct ReplayOptions {
  CommonOptions common;
  std::string path;
};

int replay(const ReplayOptions& options) {
  const auto settings = check(options.common);
  if (!settings) return fail(settings.error());
  auto reader = record::Reader::open(options.path);
  if (!reader) return fail(reader.error());
  auto report_out = ReportOutput::open(*settings);
  if (!report_out) return fail(report_out.error());
  const model::TraceHeader& header = reader->header();

  // The settings of the recorded run decide, so that the verdicts are the same; --announce adds.
  diagnose::Settings diagnosis;
  diagnosis.stuck_after = header.stuck_after;
  diagnosis.announce = header.announce;
  diagnosis.announce.insert(diagnosis.announce.end(), settings->diagnosis.announce.begin(),
                            settings->diagnosis.announce.end());
  auto analysis = Analysis::create(diagnosis);
  if (!analysis) return fail(analysis.error());

  const bool json_on_stdout = settings->json && settings->json_path.empty();
  Output out(json_on_stdout ? STDERR_FILENO : STDOUT_FILENO, json_on_stdout ? "stderr" : "stdout");
  const bool color = json_on_stdout ? settings->color_stderr : settings->color_stdout;
  std::unique_ptr<render::TextTimeline> timeline;
  if (!settings->quiet) {
    render::TimelineOptions look = settings->timeline;
    look.color = color;
    look.wall_offset = header.started_wall - header.started.since_boot;
    timeline = std::make_unique<render::TextTimeline>(
        look, header.started, [&out](std::string_view line) { out.line(line); });
  }

  base::Instant last = header.started;
  for (;;) {
    auto event = reader->next();
    if (!event) return fail(event.error());
    if (!*event) break;
    last = (*event)->at;
    (*analysis)->on_event(**event);
    if (timeline) timeline->on_event(**event);
    if (!std::holds_alternative<model::Sample>((*event)->data)) continue;
    for (const model::FindingRecord& record : (*analysis)->take_news()) {
      if (timeline) timeline->finding(record);
    }
  }
  if (timeline) timeline->close();
  if (reader->cut()) {
    base::StderrLog(base::LogLevel::kNormal).say(base::LogLevel::kNormal, *reader->cut());
  }

  model::Report report;
  report.tool_version = header.tool_version;
  report.host = header.host;
  report.taken_at = last;
  report.taken_wall = header.started_wall + (last - header.started);
  report.snapshot = (*analysis)->last_snapshot();
  report.diagnosis = (*analysis)->last_diagnosis();
  report.history = (*analysis)->findings();
  if (report.snapshot) report.could_not_see = report.snapshot->could_not_see;
  if (!report.history.empty() || !settings->quiet) report_out->text(report, out, color);
  report_out->json(report);
  if (auto written = report_out->check(); !written) return fail(written.error());
  if (auto written = out.check(); !written) return fail(written.error());
  return report.history.empty() ? kExitOk : kExitStuck;
}

}  // namespace

void add_replay(CLI::App& app, Action& action) {
  CLI::App* command =
      app.add_subcommand("replay", "show and diagnose a recording again; needs no kernel");
  auto options = std::make_shared<ReplayOptions>();
  command->add_option("file", options->path, "the recording (run -o, attach -o)")->required();
  command->add_option("-e", options->common.trace_set,
                      "trace=SET: calls to show: names, %class, /regex/, all, ! inverts");
  command
      ->add_option("--announce", options->common.announce,
                   "a further phrase (regular expression) that announces completion")
      ->allow_extra_args(false);
  add_output_options(*command, options->common);
  command->footer("Exits with 121 if something was stuck, else 0.");
  command->callback([options, &action] { action = [options] { return replay(*options); }; });
}

}  // namespace stucktrace::cli
