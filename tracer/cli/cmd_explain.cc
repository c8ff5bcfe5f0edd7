#include <unistd.h>

#include <CLI/CLI.hpp>

#include "tracer/cli/analysis.h"
#include "tracer/cli/commands.h"
#include "tracer/cli/exit_codes.h"
#include "tracer/cli/failure.h"
#include "tracer/cli/live_session.h"
#include "tracer/cli/report_output.h"
#include "tracer/cli/sampler.h"
#include "tracer/cli/targets.h"
#include "tracer/cli/version.h"

namespace stucktrace::cli {
namespace {

struct ExplainOptions {
  CommonOptions common;
  std::vector<std::string> pids;
  bool all_stacks = false;
};

int explain(const ExplainOptions& options) {
  const auto settings = check(options.common);
  if (!settings) return fail(settings.error());
  const auto pids = parse_pids(options.pids);
  if (!pids) return fail(pids.error());
  for (const base::Pid pid : *pids) {
    if (const auto may = may_look(pid); !may) return fail(may.error());
  }
  auto report_out = ReportOutput::open(*settings);
  if (!report_out) return fail(report_out.error());
  auto analysis = Analysis::create(settings->diagnosis);
  if (!analysis) return fail(analysis.error());

  const auto sample = take_sample(*pids, settings->settle, options.all_stacks);
  if (!sample) return fail(sample.error());

  model::Report report;
  report.tool_version = kVersion;
  report.host = host_description();
  report.taken_at = sample->now->taken_at;
  report.taken_wall = sample->now->taken_wall;
  report.snapshot = sample->now;
  report.diagnosis = (*analysis)->diagnose(*sample);
  report.could_not_see = sample->now->could_not_see;

  Output out(STDOUT_FILENO, "stdout");
  const bool json_on_stdout = settings->json && settings->json_path.empty();
  if (!json_on_stdout) report_out->text(report, out, settings->color_stdout);
  report_out->json(report);
  if (auto written = report_out->check(); !written) return fail(written.error());
  if (auto written = out.check(); !written) return fail(written.error());
  return report.diagnosis.findings.empty() ? kExitOk : kExitStuck;
}

}  // namespace

void add_explain(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand(
      "explain", "say who waits for whom, and why: two looks, nothing is stopped");
  auto options = std::make_shared<ExplainOptions>();
  command->add_option("pid", options->pids, "the roots of the trees to look at")->required();
  command->add_flag("--stacks", options->all_stacks, "stacks of all threads");
  add_diagnosis_options(*command, options->common);
  add_output_options(*command, options->common);
  command->footer("Exits with 121 if something is stuck, else 0.");
  command->callback([options, &action] { action = [options] { return explain(*options); }; });
}

}  // namespace stucktrace::cli
