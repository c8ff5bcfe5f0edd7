#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>

#include "tracer/cli/commands.h"
#include "tracer/cli/event_pump.h"
#include "tracer/cli/exit_codes.h"
#include "tracer/cli/failure.h"
#include "tracer/cli/leaving.h"
#include "tracer/cli/live_session.h"
#include "tracer/cli/report_output.h"
#include "tracer/cli/sampler.h"
#include "tracer/cli/targets.h"
#include "tracer/cli/traced_calls.h"
#include "tracer/engine/tracer_group.h"
#include "tracer/kernel/fast_idle.h"
#include "tracer/kernel/procfs.h"

namespace stucktrace::cli {
namespace {

struct AttachOptions {
  CommonOptions common;
  std::vector<std::string> pids;
  std::string time_limit;
  bool until_stuck = false;
  bool no_children = false;
};

int attach(const AttachOptions& options) {
  const auto settings = check(options.common);
  if (!settings) return fail(settings.error());
  SessionPlan plan;
  plan.mode = options.common.attach_mode;
  plan.command = options.pids;
  plan.until_stuck = options.until_stuck;
  if (!options.time_limit.empty()) {
    const auto limit = parse_duration(options.time_limit, "--for");
    if (!limit) return fail(limit.error());
    plan.time_limit = *limit;
  }
  plan.traced = traced_calls(settings->tracer);
  const auto pids = parse_pids(options.pids);
  if (!pids) return fail(pids.error());
  for (const base::Pid pid : *pids) {
    if (const auto may = may_trace(pid); !may) return fail(may.error());
  }

  const base::SystemClock clock;
  // With --json=- stdout belongs to the report alone.
  const bool stdout_taken = settings->json && settings->json_path.empty();
  Output out(stdout_taken ? STDERR_FILENO : STDOUT_FILENO, stdout_taken ? "stderr" : "stdout");
  Output diagnostics(STDERR_FILENO, "stderr");
  Output& words = stdout_taken ? out : diagnostics;
  base::StderrLog log(settings->log_level, [&words](std::string_view line) { words.note(line); });
  const bool color = stdout_taken ? settings->color_stderr : settings->color_stdout;
  auto session = LiveSession::create(*settings, std::move(plan), clock, log, out, words);
  if (!session) return fail(session.error());
  auto report_out = ReportOutput::open(*settings, "attach", options.pids);
  if (!report_out) return fail(report_out.error());

  // What a stop would disturb is looked at before the first one.
  if (auto sample = take_sample({.roots = *pids, .settle = settings->settle})) {
    (*session)->add_sample(std::move(*sample));
  }
  std::optional<kernel::FastIdle> fast_idle;
  if (settings->fast_idle) {
    auto held = kernel::FastIdle::hold();
    if (!held) return fail(held.error());
    fast_idle = std::move(*held);
  }
  std::vector<base::Pid> members;
  for (const base::Pid pid : *pids) {
    for (const base::Pid member : options.no_children ? std::vector{pid} : tree_of(pid)) {
      if (std::ranges::find(members, member) == members.end()) members.push_back(member);
    }
    (*session)->add_root(pid);
  }
  EventPump pump(**session, clock, engine::TracerGroup::useful(members.size()));
  engine::TracerGroup tracers(settings->tracer, clock, pump.sinks(), log);
  // Processes of others: nobody who does not read our words holds them up.
  std::atomic<bool> hurry{false};
  out.keep_going(hurry, clock);
  diagnostics.keep_going(hurry, clock);
  report_out->limit(hurry);
  pump.start([&tracers] { return tracers.shared_cpu(); });
  for (const engine::TracerGroup::Target& target : tracers.attach(members)) {
    if (target.attached) continue;
    // A descendant that ended, or is not ours to trace, is no reason to give up the rest.
    if (std::ranges::find(*pids, target.pid) == pids->end()) {
      if (target.attached.error().kind != base::ErrorKind::kGone) {
        log.say(base::LogLevel::kNormal, fmt::format("child {} is not traced: {}", target.pid,
                                                     target.attached.error().message()));
      }
      continue;
    }
    // The pump asks the tracers where they sit: it ends first.
    pump.finish();
    out.settle();
    diagnostics.settle();
    report_out->give_up(target.attached.error());
    return fail(explain_attach_failure(target.pid, target.attached.error()));
  }
  const auto outcome = tracers.run(pump);
  // Let go; told to end once more, it does not wait for who does not read.
  const Leaving leaving(tracers.ticker(), [&hurry] { hurry.store(true); });
  pump.finish();
  out.settle();
  diagnostics.settle();
  tell_counters(tracers.counters(), pump, log);
  out.write((*session)->summary());
  const auto finished = (*session)->finish();
  if (!outcome) {
    report_out->give_up(outcome.error());
    return fail(outcome.error());
  }

  const model::Report report = (*session)->report();
  if (!settings->quiet || !settings->json) report_out->text(report, out, color);
  report_out->json(report, (*session)->lanes());
  report_out->files(report, (*session)->took(), (*session)->lanes());
  if (!finished) return fail(finished.error());
  if (auto written = report_out->check(); !written) return fail(written.error());
  if (auto written = out.check(); !written) return fail(written.error());
  return (*session)->found() ? kExitStuck : kExitOk;
}

}  // namespace

void add_attach(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand(
      "attach", "attach to live processes: every thread, every child, until told to let go");
  auto options = std::make_shared<AttachOptions>();
  command->add_option("pid", options->pids, "the processes")->required();
  command->add_option("--for", options->time_limit, "detach after this time");
  command->add_flag("--until-stuck", options->until_stuck,
                    "detach as soon as something is found to be stuck");
  command->add_flag("--no-children", options->no_children,
                    "leave children that exist already alone (new ones are followed)");
  add_tracing_options(*command, options->common);
  add_report_options(*command, options->common);
  add_diagnosis_options(*command, options->common);
  add_output_options(*command, options->common);
  command->footer(
      "Ctrl-C detaches. The tree is left as it was found: running processes run, "
      "stopped ones stay stopped.\nExits with 121 if something was stuck, else 0.");
  command->callback([options, &action] { action = [options] { return attach(*options); }; });
}

}  // namespace stucktrace::cli
