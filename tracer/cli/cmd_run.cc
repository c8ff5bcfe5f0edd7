#include <CLI/CLI.hpp>

#include "tracer/cli/commands.h"
#include "tracer/cli/failure.h"
#include "tracer/cli/golden.h"
#include "tracer/cli/launch_command.h"

namespace stucktrace::cli {
namespace {

struct LimitOptions {
  std::string deadline;
  std::string idle;
  std::string grace;
  std::string fail_on = "none";
  bool close_orphans = false;
};

void add_limit_options(CLI::App& command, LimitOptions& options) {
  command.add_option("--deadline", options.deadline,
                     "diagnose the tree, end it and exit with 124 when it has run this long");
  command.add_option("--idle", options.idle,
                     "the same when nothing was written, no CPU used and no task started or ended "
                     "for this long");
  command.add_option("--grace", options.grace,
                     "time from SIGTERM to SIGKILL when the tree is ended (10s)");
  command
      .add_option("--fail-on", options.fail_on,
                  "stuck: diagnose, end the tree and exit with 121 once something is stuck; "
                  "deadlock: once there is a proven deadlock; none")
      ->check(CLI::IsMember({"stuck", "deadlock", "none"}))
      ->capture_default_str();
  command.add_flag("--close-orphans", options.close_orphans,
                   "end what the command leaves behind when it has ended");
}

// Like timeout(1): a time of 0 is no limit.
base::Result<std::optional<base::Nanoseconds>> parse_limit(const std::string& text,
                                                           const std::string& option) {
  if (text.empty()) return std::nullopt;
  const auto time = parse_duration(text, option);
  if (!time) return base::Failure{time.error()};
  return *time > base::Nanoseconds{} ? std::optional{*time} : std::nullopt;
}

base::Result<RunLimits> check(const LimitOptions& options, base::Nanoseconds stuck_after) {
  RunLimits limits;
  const auto deadline = parse_limit(options.deadline, "--deadline");
  if (!deadline) return base::Failure{deadline.error()};
  const auto idle = parse_limit(options.idle, "--idle");
  if (!idle) return base::Failure{idle.error()};
  constexpr base::Nanoseconds kShortestIdle = std::chrono::milliseconds{500};
  if (*idle && **idle < kShortestIdle) {
    return base::usage_error("--idle must be at least 500ms");
  }
  limits.deadline = *deadline;
  limits.idle = *idle;
  limits.fail_on = options.fail_on == "stuck"      ? FailOn::kStuck
                   : options.fail_on == "deadlock" ? FailOn::kDeadlock
                                                   : FailOn::kNone;
  limits.close_orphans = options.close_orphans;
  limits.stuck_after = stuck_after;
  if (options.grace.empty()) return limits;
  const auto grace = parse_duration(options.grace, "--grace");
  if (!grace) return base::Failure{grace.error()};
  limits.grace = *grace;
  return limits;
}

}  // namespace

void add_run(CLI::App& app, const Startup& startup, Action& action) {
  CLI::App* command =
      app.add_subcommand("run", "launch a command under the tracer and follow its whole tree");
  struct RunOptions {
    CommonOptions common;
    bool no_seccomp = false;
    bool kill_on_exit = false;
    LimitOptions limits;
    bool for_compare = false;
    GoldenOptions golden;
  };
  auto options = std::make_shared<RunOptions>();
  add_tracing_options(*command, options->common);
  command->add_flag(
      "--no-seccomp", options->no_seccomp,
      "stop at every call, without a filter: slower; the tree can outlive the tracer");
  add_report_options(*command, options->common);
  command->add_flag("--kill-on-exit", options->kill_on_exit,
                    "kill the tree if stucktrace ends (with a filter always)");
  add_limit_options(*command, options->limits);
  command->add_option("--baseline", options->golden.baseline,
                      "compare the run with the baseline FILE at its end (see compare)");
  add_golden_options(*command, options->golden);
  command->add_flag("--for-compare", options->for_compare,
                    "trace all calls that compare looks at (with --baseline, --assert always)");
  add_diagnosis_options(*command, options->common);
  add_output_options(*command, options->common);
  // From the first word that is no option of ours everything belongs to the command.
  command->prefix_command();
  command->footer(
      "Exits with the command's own status, 128+N if signal N killed it, 124 at a deadline, 121 by "
      "--fail-on, 122 if all is well with the command but the run differs from its baseline or an "
      "assertion does not hold, 125 if stucktrace failed, 126/127 if the command cannot be run / "
      "was not found.");
  command->callback([options, command, startup, &action] {
    std::vector<std::string> words = command->remaining();
    if (startup.command) {
      // A -- behind the command's name is the command's own.
      if (!words.empty()) words.emplace_back("--");
      words.insert(words.end(), startup.command->begin(), startup.command->end());
    }
    action = [options, words, startup] {
      if (words.empty()) {
        return fail(
            base::usage_error("no command to run", "stucktrace run -- COMMAND ARG...").error());
      }
      auto settings = check(options->common);
      if (!settings) return fail(settings.error());
      const auto limits = check(options->limits, settings->diagnosis.stuck_after);
      if (!limits) return fail(limits.error());
      const auto golden = Golden::open(options->golden);
      if (!golden) return fail(golden.error());
      const bool judged = options->golden.asks();
      const bool compared = judged || options->for_compare;
      if (compared) add_all(settings->tracer.trace, compared_calls());
      add_all(settings->tracer.trace, golden->calls());
      settings->keep_events = judged;
      return launch_command(words, *settings,
                            {.seccomp = !options->no_seccomp,
                             .kill_on_exit = options->kill_on_exit,
                             .limits = *limits,
                             .compared = compared,
                             .golden = judged ? &*golden : nullptr},
                            startup);
    };
  });
}

}  // namespace stucktrace::cli
