#include <unistd.h>

#include <CLI/CLI.hpp>

#include "tracer/cli/commands.h"
#include "tracer/cli/exit_codes.h"
#include "tracer/cli/failure.h"
#include "tracer/cli/options.h"
#include "tracer/cli/output.h"
#include "tracer/cli/recorded_trace.h"
#include "tracer/cli/report_output.h"
#include "tracer/record/reader.h"
#include "tracer/render/timeline_writer.h"
#include "tracer/render/trace_lanes.h"

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
  auto report_out =
      ReportOutput::open(*settings, "replay", {options.path}, {{options.path, "the recording"}});
  if (!report_out) return fail(report_out.error());
  const bool json_on_stdout = settings->json && settings->json_path.empty();
  Output out(json_on_stdout ? STDERR_FILENO : STDOUT_FILENO, json_on_stdout ? "stderr" : "stdout");
  const bool color = json_on_stdout ? settings->color_stderr : settings->color_stdout;
  std::unique_ptr<render::TimelineWriter> timeline;
  if (!settings->quiet) {
    render::TimelineOptions look = settings->timeline;
    look.color = color;
    timeline = std::make_unique<render::TimelineWriter>(
        look, reader->header(), [&out](std::string_view line) { out.line(line); });
  }
  std::unique_ptr<render::TraceLanes> lanes;
  if (!settings->html_path.empty() || settings->json) {
    lanes = std::make_unique<render::TraceLanes>(reader->header().started);
  }
  const auto trace =
      go_through(*reader, settings->diagnosis.announce, {timeline.get(), lanes.get()});
  if (!trace) {
    report_out->give_up(trace.error());
    return fail(trace.error());
  }
  tell_cut(*reader);
  const model::Report& report = trace->report;
  if (!report.history.empty() || !settings->quiet) report_out->text(report, out, color);
  report_out->json(report, lanes.get());
  report_out->files(report, trace->took, lanes.get());
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
  add_report_options(*command, options->common);
  add_output_options(*command, options->common);
  command->footer("Exits with 121 if something was stuck, else 0.");
  command->callback([options, &action] { action = [options] { return replay(*options); }; });
}

}  // namespace stucktrace::cli
