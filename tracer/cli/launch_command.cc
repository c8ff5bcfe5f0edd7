#include "tracer/cli/launch_command.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string_view>

#include "tracer/base/cleanup.h"
#include "tracer/base/text.h"
#include "tracer/cli/command_lookup.h"
#include "tracer/cli/event_pump.h"
#include "tracer/cli/exit_codes.h"
#include "tracer/cli/failure.h"
#include "tracer/cli/inherited_fds.h"
#include "tracer/cli/leaving.h"
#include "tracer/cli/live_session.h"
#include "tracer/cli/report_output.h"
#include "tracer/cli/run_control.h"
#include "tracer/cli/traced_calls.h"
#include "tracer/kernel/control_group.h"
#include "tracer/kernel/fast_idle.h"

namespace stucktrace::cli {
namespace {

int cannot_run(const base::Error& error) {
  fail(error);
  return error.kind == base::ErrorKind::kGone ? kExitNotFound : kExitCannotRun;
}

// Gaining rights at exec is what no_new_privs forbids (prctl(2)), which a filter needs unless the
// tool has CAP_SYS_ADMIN.
bool gains_rights(const std::string& path) {
  struct stat about{};
  if (::geteuid() == 0 || ::stat(path.c_str(), &about) != 0) return false;
  return (about.st_mode & (S_ISUID | S_ISGID)) != 0 ||
         ::getxattr(path.c_str(), "security.capability", nullptr, 0) > 0;
}

// Programs whose work is ptrace(2): what they trace has to be let go, which a filter forbids.
bool is_tracer(const std::string& path) {
  constexpr std::string_view kTracers[] = {"gdb",    "gdbserver", "lldb",  "lldb-server",
                                           "strace", "ltrace",    "rr",    "stucktrace",
                                           "pstack", "gcore",     "reptyr"};
  const std::string_view name = std::string_view{path}.substr(path.rfind('/') + 1);
  return std::ranges::find(kTracers, name) != std::end(kTracers);
}

std::optional<engine::LaunchFilter> choose_filter(const std::string& path, const Settings& settings,
                                                  const LaunchOptions& launch, base::Log& log) {
  if (!launch.seccomp) return std::nullopt;
  // Everything asked for: stopping anyhow at each call is cheaper without one.
  if (settings.chosen_set && settings.tracer.trace.contains(syscalls::Sys::kUnknown)) {
    return std::nullopt;
  }
  if (settings.tracer.stacks_at && settings.tracer.stacks_at->contains(syscalls::Sys::kUnknown)) {
    return std::nullopt;
  }
  const bool tracer = is_tracer(path);
  if (tracer || gains_rights(path)) {
    log.say(base::LogLevel::kNormal,
            fmt::format("{} {}: every call stops, as with --no-seccomp", base::escape_text(path),
                        tracer ? "traces others itself" : "gains rights when executed"));
    return std::nullopt;
  }
  return settings.chosen_set || launch.compared ? engine::filter_for(settings.tracer.trace)
                                                : engine::diagnosis_filter();
}

// False if the run differs from its baseline or an assertion does not hold.
base::Result<bool> judge(const Golden& golden, const LiveSession& session,
                         const model::TracedCalls& traced, const Settings& settings,
                         Output& diagnostics, base::Log& log) {
  const KeptEvents& events = *session.events();
  const auto outcome = golden.judge({events.survey(), events, session.analysis().findings(),
                                     session.started(), "the run", settings.record_path, traced});
  if (!outcome) return base::Failure{outcome.error()};
  diagnostics.write(outcome->text);
  if (!outcome->message.empty()) log.say(base::LogLevel::kNormal, outcome->message);
  return outcome->passed;
}

int exit_status(const engine::Outcome& outcome, const RunControl& control, bool own_failure) {
  if (const auto status = control.status()) return *status;
  if (!outcome.root_exit) {
    return outcome.ended_by_signal ? kExitSignalBase + *outcome.ended_by_signal : kExitFailure;
  }
  const model::TaskExit& exit = *outcome.root_exit;
  const int status = exit.signaled ? kExitSignalBase + exit.code : exit.code;
  return status == 0 && own_failure ? static_cast<int>(kExitFailure) : status;
}

// Text to stderr, JSON to its file or stdout, once. With a limit reached the report is the one from
// before the tree's end, told at once; stdout gets its line after what the tree writes till then.
class RunReport {
 public:
  RunReport(ReportOutput& out, Output& diagnostics, const Settings& settings)
      : out_(out), diagnostics_(diagnostics), settings_(settings) {}

  void tell(const model::Report& report) {
    if (told_) return;
    told_ = report;
    // A finding tells the stacks that matter; without one the stacks are what there is to tell.
    const bool stacks =
        report.ended && report.ended->because != "orphans" && report.diagnosis.findings.empty();
    if (!report.history.empty() || report.ended) {
      out_.text(report, diagnostics_, settings_.color_stderr,
                stacks ? ReportOutput::Stacks::kMerged : ReportOutput::Stacks::kNone);
    }
    if (out_.json_to_file()) out_.json(report, session_->lanes());
    out_.files(report, session_->took(), session_->lanes(), &diagnostics_);
  }
  // Whose reports are told; before the first one.
  void follow(const LiveSession& session) { session_ = &session; }
  void finish() {
    if (told_ && !out_.json_to_file()) out_.json(*told_, session_->lanes());
  }
  bool told() const { return told_.has_value(); }

 private:
  ReportOutput& out_;
  Output& diagnostics_;
  const Settings& settings_;
  const LiveSession* session_ = nullptr;
  std::optional<model::Report> told_;
};

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

// Without one the tree is ended all the same, but for what a debugger has taken over and somebody
// else taken in.
std::shared_ptr<kernel::ControlGroup> own_group(base::Log& log) {
  auto group = kernel::ControlGroup::make(kernel::Procfs{});
  if (group) return std::move(*group);
  log.say(base::LogLevel::kVerbose,
          fmt::format("no control group for the tree: {}", group.error().message()));
  return nullptr;
}

void join(kernel::ControlGroup& group, base::Pid pid, base::Log& log) {
  const auto joined = group.add(pid);
  log.say(base::LogLevel::kVerbose,
          joined ? "the tree is in control group " + group.path()
                 : "the tree is in no control group of its own: " + joined.error().message());
}

void remove(kernel::ControlGroup& group, base::Log& log) {
  if (const auto removed = group.remove(); !removed) {
    log.say(base::LogLevel::kNormal, removed.error().message());
  }
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
  const char* path = std::getenv("PATH");
  auto found = find_command(words.front(), path != nullptr ? path : "/usr/local/bin:/usr/bin:/bin");
  if (!found) {
    report_out->give_up(found.error());
    return cannot_run(found.error());
  }

  const base::SystemClock clock;
  Output diagnostics(STDERR_FILENO, "stderr");
  base::StderrLog log(settings.log_level,
                      [&diagnostics](std::string_view line) { diagnostics.note(line); });
  engine::TracerOptions options = settings.tracer;
  options.filter = choose_filter(*found, settings, launch, log);
  // A tree with a limit does not outlive who watches it.
  options.kill_on_exit = launch.kill_on_exit || launch.limits.any();
  options.may_be_ended = launch.limits.any();
  RunReport report(*report_out, diagnostics, settings);
  const model::TracedCalls traced = traced_calls(options);
  auto session = LiveSession::create(settings, session_plan(words, launch.limits, traced, report),
                                     clock, log, diagnostics, diagnostics);
  if (!session) return fail(session.error());
  report.follow(**session);

  std::optional<kernel::FastIdle> fast_idle;
  if (settings.fast_idle) {
    auto held = kernel::FastIdle::hold();
    if (!held) return fail(held.error());
    fast_idle = std::move(*held);
  }
  const auto group = launch.limits.any() ? own_group(log) : nullptr;
  // When nobody traces any more.
  const base::Cleanup without_group([&group, &log] {
    if (group) remove(*group, log);
  });
  if (group) guard->do_first([group] { group->kill(); });
  EventPump pump(**session, clock);
  engine::Ticker ticker(options.tick);
  engine::Tracer tracer(std::move(options), clock, *pump.sinks().front(), log, ticker);
  RunControl control({.limits = launch.limits, .settle = settings.settle, .group = group.get()},
                     tracer, pump, clock, guard ? &*guard : nullptr);
  diagnostics.keep_going(control.hurry(), clock);
  report_out->limit(control.hurry());
  engine::Command command;
  command.path = *found;
  command.argv = words;
  command.inherited = startup.inherited;
  const auto pid = tracer.launch(command);
  if (!pid) {
    diagnostics.settle();
    report_out->give_up(pid.error());
    return fail(pid.error());
  }
  leave_inherited_fds(report_out->to_stdout());
  if (group) join(*group, *pid, log);
  control.launched(clock.now());
  (*session)->add_root(*pid);
  pump.start([&tracer] { return tracer.shared_cpu(); });
  const auto outcome = tracer.run(control);
  control.finish();
  const Leaving leaving(ticker, [&control] { control.hurry_up(); });
  pump.finish();
  diagnostics.settle();
  tell_counters(tracer.counters(), pump, log);
  const auto finished = (*session)->finish();
  diagnostics.write((*session)->summary());
  if (!outcome) {
    report_out->give_up(outcome.error());
    return fail(outcome.error());
  }
  if (outcome->exec_failure) {
    const base::Error error{base::ErrorKind::kSystem,
                            fmt::format("cannot execute {}", base::escape_text(*found)),
                            *outcome->exec_failure, base::Tid{}, ""};
    report_out->give_up(error);
    fail(error);
    return outcome->exec_failure->value() == ENOENT ? kExitNotFound : kExitCannotRun;
  }
  if (!report.told()) {
    model::Report at_the_end = (*session)->report();
    if (control.reached()) at_the_end.ended = control.ended();
    report.tell(at_the_end);
  }
  report.finish();
  // What the command did counts; our own trouble is told, and changes the status only where the
  // command itself succeeded.
  const auto written = report_out->check();
  for (const auto* result : {&finished, &written}) {
    if (!*result) diagnostics.line("stucktrace: " + result->error().message());
  }
  bool own_failure = !finished || !written;
  bool differs = false;
  // What was cut short is compared with nothing.
  if (launch.golden != nullptr && !control.reached()) {
    const auto passed = judge(*launch.golden, **session, traced, settings, diagnostics, log);
    if (!passed) own_failure = fail(passed.error()) != 0;
    differs = passed && !*passed;
  }
  const int status = exit_status(*outcome, control, own_failure);
  // What never came back from its look is not waited for.
  if (control.look_given_up()) {
    if (group) remove(*group, log);
    ::_exit(status);
  }
  return status == kExitOk && differs ? static_cast<int>(kExitDiffers) : status;
}

}  // namespace stucktrace::cli
