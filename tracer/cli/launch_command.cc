#include "tracer/cli/launch_command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <utility>

#include "tracer/base/text.h"
#include "tracer/cli/command_lookup.h"
#include "tracer/cli/event_pump.h"
#include "tracer/cli/exit_codes.h"
#include "tracer/cli/failure.h"
#include "tracer/cli/filter_choice.h"
#include "tracer/cli/inherited_fds.h"
#include "tracer/cli/leaving.h"
#include "tracer/cli/live_session.h"
#include "tracer/cli/report_output.h"
#include "tracer/cli/run_control.h"
#include "tracer/cli/run_report.h"
#include "tracer/cli/traced_calls.h"
#include "tracer/cli/tree_group.h"
#include "tracer/kernel/fast_idle.h"

namespace stucktrace::cli {
namespace {

base::Result<std::string> find_program(const std::string& name) {
  const char* path = std::getenv("PATH");
  return find_command(name, path != nullptr ? path : "/usr/local/bin:/usr/bin:/bin");
}

int cannot_run(const base::Error& error) {
  fail(error);
  return error.kind == base::ErrorKind::kGone ? kExitNotFound : kExitCannotRun;
}

engine::TracerOptions tracer_options(const std::string& program, const Settings& settings,
                                     const LaunchOptions& launch, base::Log& log) {
  engine::TracerOptions options = settings.tracer;
  options.filter = choose_filter(program, settings, {launch.seccomp, launch.compared}, log);
  // A tree with a limit does not outlive who watches it.
  options.kill_on_exit = launch.kill_on_exit || launch.limits.any();
  options.may_be_ended = launch.limits.any();
  return options;
}

SessionPlan session_plan(const std::vector<std::string>& words, const RunLimits& limits,
                         model::TracedCalls traced, RunReport& report) {
  SessionPlan plan{.mode = "launch",
                   .command = words,
                   .time_limit = {},
                   .until_stuck = false,
                   .traced = std::move(traced)};
  plan.on_last_look = [&report](const model::Report& told) { report.tell(told); };
  if (limits.fail_on == FailOn::kNone) return plan;
  plan.may_fail = [limits](const model::FindingRecord& record) {
    return may_fail(limits.fail_on, record);
  };
  plan.fails = [limits](const model::FindingRecord& record) {
    return fails(limits.fail_on, record, limits.stuck_after);
  };
  return plan;
}

int exit_status(const engine::Outcome& outcome, const RunControl& control) {
  if (const auto status = control.status()) return *status;
  if (!outcome.root_exit) {
    return outcome.ended_by_signal ? kExitSignalBase + *outcome.ended_by_signal : kExitFailure;
  }
  const model::TaskExit& exit = *outcome.root_exit;
  return exit.signaled ? kExitSignalBase + exit.code : exit.code;
}

// One launch, from what it needs before there is a process to its exit status.
class CommandRun {
 public:
  CommandRun(const std::vector<std::string>& words, const Settings& settings,
             const LaunchOptions& launch, ReportOutput& report_out, EndGuard* guard)
      : words_(words),
        settings_(settings),
        launch_(launch),
        report_out_(report_out),
        guard_(guard),
        diagnostics_(STDERR_FILENO, "stderr"),
        log_(settings.log_level, [this](std::string_view line) { diagnostics_.note(line); }),
        report_(report_out, diagnostics_, settings) {}

  // All that may fail before there is a process.
  base::Result<void> prepare(std::string program);
  // Follows it to its end; the exit status.
  int follow(const Startup& startup);

 private:
  base::Result<void> start(engine::Tracer& tracer, RunControl& control, const Startup& startup);
  int give_up(const base::Error& error);
  int cannot_execute(base::Errno why);
  int conclude(const engine::Outcome& outcome, const RunControl& control,
               const base::Result<void>& recorded);
  model::Comparison judge();

  const std::vector<std::string>& words_;
  const Settings& settings_;
  const LaunchOptions& launch_;
  ReportOutput& report_out_;
  EndGuard* guard_;  // null where there is no limit
  const base::SystemClock clock_;
  std::atomic<bool> hurry_{false};
  Output diagnostics_;
  base::StderrLog log_;
  RunReport report_;
  std::string program_;
  engine::TracerOptions options_;
  model::TracedCalls traced_;
  std::unique_ptr<LiveSession> session_;
  std::optional<kernel::FastIdle> fast_idle_;
  std::optional<TreeGroup> group_;  // where there is a limit
};

base::Result<void> CommandRun::prepare(std::string program) {
  program_ = std::move(program);
  options_ = tracer_options(program_, settings_, launch_, log_);
  traced_ = traced_calls(options_);
  auto session =
      LiveSession::create(settings_, session_plan(words_, launch_.limits, traced_, report_), clock_,
                          log_, diagnostics_, diagnostics_);
  if (!session) return base::Failure{session.error()};
  session_ = std::move(*session);
  report_.follow(*session_);
  if (settings_.fast_idle) {
    auto held = kernel::FastIdle::hold();
    if (!held) return base::Failure{held.error()};
    fast_idle_ = std::move(*held);
  }
  if (guard_ != nullptr) {
    group_.emplace(log_);
    group_->ended_first_by(*guard_);
  }
  return {};
}

base::Result<void> CommandRun::start(engine::Tracer& tracer, RunControl& control,
                                     const Startup& startup) {
  engine::Command command;
  command.path = program_;
  command.argv = words_;
  command.inherited = startup.inherited;
  const auto pid = tracer.launch(command);
  if (!pid) return base::Failure{pid.error()};
  leave_inherited_fds(report_out_.to_stdout());
  if (group_) group_->join(*pid);
  control.launched(clock_.now());
  session_->add_root(*pid);
  return {};
}

int CommandRun::follow(const Startup& startup) {
  EventPump pump(*session_, clock_);
  engine::Ticker ticker(options_.tick);
  engine::Tracer tracer(std::move(options_), clock_, *pump.sinks().front(), log_, ticker);
  RunControl control({.limits = launch_.limits,
                      .settle = settings_.settle,
                      .group = group_ ? group_->get() : nullptr,
                      .hurry = hurry_},
                     tracer, pump, clock_, guard_);
  diagnostics_.keep_going(hurry_, clock_);
  report_out_.limit(hurry_);
  if (const auto started = start(tracer, control, startup); !started) {
    diagnostics_.settle();
    return give_up(started.error());
  }
  pump.start([&tracer] { return tracer.shared_cpu(); });
  const auto outcome = tracer.run(control);
  control.finish();
  const Leaving leaving(ticker, [this] { hurry_.store(true); });
  pump.finish();
  diagnostics_.settle();
  tell_counters(tracer.counters(), pump, log_);
  const auto recorded = session_->finish();
  diagnostics_.write(session_->summary());
  if (!outcome) return give_up(outcome.error());
  if (outcome->exec_failure) return cannot_execute(*outcome->exec_failure);
  const int status = conclude(*outcome, control, recorded);
  // What never came back from its look is not waited for.
  if (control.look_given_up()) {
    if (group_) group_->remove();
    ::_exit(status);
  }
  return status;
}

int CommandRun::give_up(const base::Error& error) {
  report_out_.give_up(error);
  return fail(error);
}

int CommandRun::cannot_execute(base::Errno why) {
  give_up(base::Error{base::ErrorKind::kSystem,
                      fmt::format("cannot execute {}", base::escape_text(program_)), why,
                      base::Tid{}, ""});
  return why.value() == ENOENT ? kExitNotFound : kExitCannotRun;
}

// What the run is judged by, and its reports. What the command did counts; our own trouble and a
// difference are told, and change the status only where the command itself succeeded.
int CommandRun::conclude(const engine::Outcome& outcome, const RunControl& control,
                         const base::Result<void>& recorded) {
  std::optional<model::Comparison> comparison;
  if (!report_.told()) {
    model::Report at_the_end = session_->report();
    if (control.reached()) at_the_end.ended = control.ended();
    // What was cut short is compared with nothing.
    if (launch_.golden != nullptr && !control.reached()) comparison = judge();
    at_the_end.comparison = comparison;
    report_.tell(at_the_end);
  }
  report_.finish(control.ended_late());
  const auto written = report_out_.check();
  for (const auto* result : {&recorded, &written}) {
    if (!*result) diagnostics_.line("stucktrace: " + result->error().message());
  }
  const int status = exit_status(outcome, control);
  if (status != kExitOk) return status;
  if (launch_.golden != nullptr && !comparison) {
    diagnostics_.line(
        "stucktrace: the run is compared with nothing: what it left behind "
        "had to be ended");
    return kExitFailure;
  }
  const bool unjudged = comparison && !comparison->failure.empty();
  if (!recorded || !written || unjudged) return kExitFailure;
  return comparison && !comparison->passed() ? static_cast<int>(kExitDiffers) : status;
}

model::Comparison CommandRun::judge() {
  const KeptEvents& events = *session_->events();
  auto outcome =
      launch_.golden->judge({events.survey(), events, session_->analysis().findings(),
                             session_->started(), "the run", settings_.record_path, traced_});
  if (!outcome) {
    fail(outcome.error());
    model::Comparison unjudged;
    unjudged.baseline = launch_.golden->path();
    unjudged.recording = settings_.record_path;
    unjudged.failure = outcome.error().message();
    return unjudged;
  }
  if (!outcome->message.empty()) log_.say(base::LogLevel::kNormal, outcome->message);
  return std::move(outcome->comparison);
}

}  // namespace

int launch_command(const std::vector<std::string>& words, const Settings& settings,
                   const LaunchOptions& launch, const Startup& startup) {
  // Ends last.
  std::optional<EndGuard> guard;
  if (launch.limits.any()) guard.emplace();
  std::vector<InputFile> inputs;
  if (launch.golden != nullptr) inputs.push_back({launch.golden->path(), "the baseline"});
  auto report_out = ReportOutput::open(settings, "run", words, inputs);
  if (!report_out) return fail(report_out.error());
  auto program = find_program(words.front());
  if (!program) {
    report_out->give_up(program.error());
    return cannot_run(program.error());
  }
  CommandRun run(words, settings, launch, *report_out, guard ? &*guard : nullptr);
  if (const auto ready = run.prepare(std::move(*program)); !ready) return fail(ready.error());
  return run.follow(startup);
}

}  // namespace stucktrace::cli
