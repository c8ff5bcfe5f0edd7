#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "tracer/cli/analysis.h"
#include "tracer/cli/commands.h"
#include "tracer/cli/exit_codes.h"
#include "tracer/cli/explain_sight.h"
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
  bool all = false;
  bool tree = false;
  bool all_stacks = false;
  bool allow_stop = false;
  bool native = false;  // and the interpreters' own frames
  std::string time_limit = "5s";
};

base::Result<std::vector<base::Pid>> roots_to_look_at(const ExplainOptions& options) {
  if (options.all) {
    if (!options.pids.empty()) {
      return base::usage_error("--all looks at every process: name none with it");
    }
    return machine_roots();
  }
  if (options.pids.empty()) {
    return base::usage_error("no process to explain", "stucktrace explain PID, or --all");
  }
  auto pids = parse_pids(options.pids);
  if (!pids) return pids;
  for (const base::Pid pid : *pids) {
    if (const auto may = may_look(pid); !may) return base::Failure{may.error()};
  }
  if (options.tree) {
    std::ranges::transform(*pids, pids->begin(), tree_root);
    std::ranges::sort(*pids);
    pids->erase(std::unique(pids->begin(), pids->end()), pids->end());
  }
  return pids;
}

// The outermost processes of the findings: what has to be looked at again, with stacks.
std::vector<base::Pid> involved(const model::Diagnosis& diagnosis) {
  std::vector<base::Pid> pids;
  for (const model::Finding& finding : diagnosis.findings) {
    pids.push_back(finding.pid);
    for (const model::ChainLink& link : finding.chain) pids.push_back(link.pid);
  }
  std::ranges::sort(pids);
  pids.erase(std::unique(pids.begin(), pids.end()), pids.end());
  return pids;
}

// Threads in a futex may wait for a lock whose owner shows in frames alone.
void add_suspects(const model::Snapshot& snapshot, std::vector<base::Pid>& pids) {
  constexpr std::size_t kMaxThreads = 5000;
  std::size_t threads = 0;
  for (const model::Process& process : snapshot.processes) {
    const bool waits = std::ranges::any_of(process.threads, [](const model::Thread& thread) {
      const bool futex = thread.wait.kind == model::WaitKind::kFutex ||
                         thread.wait.kind == model::WaitKind::kThreadJoin;
      return futex && !thread.wait.timeout && !thread.wait.remaining;
    });
    if (!waits || threads + process.threads.size() > kMaxThreads) continue;
    threads += process.threads.size();
    pids.push_back(process.pid);
  }
  std::ranges::sort(pids);
  pids.erase(std::unique(pids.begin(), pids.end()), pids.end());
}

// What was looked at, and the sample to tell from.
struct Looked {
  model::Sample sample;
  model::Diagnosis diagnosis;
  model::Look look;
  std::shared_ptr<const model::Snapshot> all;  // of everything that was asked about
};

model::Look count(const model::Snapshot& snapshot) {
  model::Look look;
  for (const model::Process& process : snapshot.processes) {
    if (!process.in_tree) continue;
    ++look.processes;
    look.threads += process.threads.size();
  }
  return look;
}

base::Result<Looked> look(const ExplainOptions& options, const Settings& settings,
                          const std::vector<base::Pid>& roots, base::Nanoseconds limit,
                          const Analysis& analysis) {
  SampleRequest request{.roots = roots,
                        .settle = settings.settle,
                        .stacks = !options.all,
                        .all_stacks = options.all_stacks || options.native,
                        .may_stop = options.allow_stop,
                        .time_limit = limit};
  auto sample = take_sample(request);
  if (!sample) return base::Failure{sample.error()};
  Looked looked{*sample, analysis.diagnose(*sample), count(*sample->now), sample->now};
  looked.look.whole_machine = options.all;
  looked.look.settle = settings.settle;
  if (!options.all) return looked;
  // A whole machine is searched without stacks; only what is stuck, or may be, is worth them.
  request.roots = involved(looked.diagnosis);
  add_suspects(*looked.all, request.roots);
  if (request.roots.empty()) return looked;
  request.stacks = true;
  auto closer = take_sample(request);
  model::Diagnosis confirmed;
  if (closer) confirmed = analysis.diagnose(*closer);
  if (!confirmed.findings.empty()) {
    looked.sample = std::move(*closer);
    looked.diagnosis = std::move(confirmed);
    return looked;
  }
  // It went on, or ended, between the two: what was found is not so any more.
  looked.diagnosis.findings.clear();
  for (model::ThreadAssessment& each : looked.diagnosis.threads) {
    if (each.verdict == model::ThreadVerdict::kStuck) each.verdict = model::ThreadVerdict::kSlow;
  }
  return looked;
}

int explain(const ExplainOptions& options) {
  const auto settings = check(options.common);
  if (!settings) return fail(settings.error());
  const auto limit = parse_duration(options.time_limit, "--timeout");
  if (!limit) return fail(limit.error());
  const auto roots = roots_to_look_at(options);
  if (!roots) return fail(roots.error());
  auto report_out = ReportOutput::open(
      *settings, "explain", options.all ? std::vector<std::string>{"--all"} : options.pids);
  if (!report_out) return fail(report_out.error());
  auto analysis = Analysis::create(settings->diagnosis);
  if (!analysis) return fail(analysis.error());

  const base::SystemClock clock;
  const base::Instant started = clock.now();
  auto looked = look(options, *settings, *roots, *limit, **analysis);
  if (!looked) {
    report_out->give_up(looked.error());
    return fail(looked.error());
  }
  const model::Sample& sample = looked->sample;

  model::Report report;
  report.tool_version = kVersion;
  report.host = host_description();
  report.taken_at = sample.now->taken_at;
  report.taken_wall = sample.now->taken_wall;
  report.snapshot = sample.now;
  report.diagnosis = std::move(looked->diagnosis);
  report.could_not_see = looked->all->could_not_see;
  report.look = looked->look;
  report.look->took = clock.now() - started;
  add_sight(report, *looked->all);

  Output out(STDOUT_FILENO, "stdout");
  const bool json_on_stdout = settings->json && settings->json_path.empty();
  if (!json_on_stdout) {
    using enum ReportOutput::Stacks;
    report_out->text(report, out, settings->color_stdout,
                     options.native       ? kNative
                     : options.all_stacks ? kMerged
                                          : kNone);
  }
  report_out->json(report);
  report_out->files(report, report.look->took);
  if (auto written = report_out->check(); !written) return fail(written.error());
  if (auto written = out.check(); !written) return fail(written.error());
  return report.diagnosis.findings.empty() ? kExitOk : kExitStuck;
}

}  // namespace

void add_explain(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand(
      "explain", "say who waits for whom, and why: two looks, nothing is stopped");
  auto options = std::make_shared<ExplainOptions>();
  command->add_option("pid", options->pids, "the roots of the trees to look at");
  command->add_flag("--tree", options->tree,
                    "the whole tree: from the outermost ancestor in the same session");
  command->add_flag("--all", options->all, "search the whole machine for what is stuck");
  command
      ->add_option("--timeout", options->time_limit,
                   "how long one look may take; what is missing then is said")
      ->capture_default_str();
  command->add_flag("--stacks", options->all_stacks, "stacks of all threads");
  command->add_flag("--allow-stop", options->allow_stop,
                    "a running thread may be stopped for some microseconds, for its stack");
  command->add_flag("--native", options->native,
                    "stacks of all threads, with the C frames of Python's interpreter");
  add_report_options(*command, options->common);
  add_diagnosis_options(*command, options->common);
  add_output_options(*command, options->common);
  command->footer("Exits with 121 if something is stuck, else 0.");
  command->callback([options, &action] { action = [options] { return explain(*options); }; });
}

}  // namespace stucktrace::cli
