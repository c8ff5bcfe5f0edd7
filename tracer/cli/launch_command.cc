#include "tracer/cli/launch_command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>

#include "tracer/base/text.h"
#include "tracer/cli/command_lookup.h"
#include "tracer/cli/exit_codes.h"
#include "tracer/cli/failure.h"
#include "tracer/cli/live_session.h"
#include "tracer/cli/report_output.h"

namespace stucktrace::cli {
namespace {

int cannot_run(const base::Error& error) {
  fail(error);
  return error.kind == base::ErrorKind::kGone ? kExitNotFound : kExitCannotRun;
}

}  // namespace

int launch_command(const std::vector<std::string>& words, const Settings& settings,
                   const Startup& startup) {
  const char* path = std::getenv("PATH");
  auto found = find_command(words.front(), path != nullptr ? path : "/usr/local/bin:/usr/bin:/bin");
  if (!found) return cannot_run(found.error());

  const base::SystemClock clock;
  base::StderrLog log(settings.log_level);
  Output diagnostics(STDERR_FILENO, "stderr");
  auto session = LiveSession::create(
      settings, {.mode = "launch", .command = words, .time_limit = {}, .until_stuck = false}, clock,
      log, diagnostics);
  if (!session) return fail(session.error());
  auto report_out = ReportOutput::open(settings);
  if (!report_out) return fail(report_out.error());

  engine::Tracer tracer(settings.tracer, clock, **session, log);
  (*session)->bind(tracer);
  engine::Command command;
  command.path = *found;
  command.argv = words;
  command.restore_sigpipe = !startup.sigpipe_ignored;
  const auto pid = tracer.launch(command);
  if (!pid) return fail(pid.error());
  (*session)->add_root(*pid);
  const auto outcome = tracer.run(**session);
  const auto finished = (*session)->finish();
  if (!outcome) return fail(outcome.error());
  if (outcome->exec_failure) {
    fail({base::ErrorKind::kSystem, fmt::format("cannot execute {}", base::escape_text(*found)),
          *outcome->exec_failure, base::Tid{}, ""});
    return outcome->exec_failure->value() == ENOENT ? kExitNotFound : kExitCannotRun;
  }
  const model::Report report = (*session)->report();
  if (!report.history.empty()) report_out->text(report, diagnostics, settings.color_stderr);
  report_out->json(report);
  // What the command did counts; our own trouble is told, and changes the status only where the
  // command itself succeeded.
  bool own_failure = false;
  if (!finished) own_failure = fail(finished.error()) != 0;
  if (auto written = report_out->check(); !written) own_failure = fail(written.error()) != 0;
  if (!outcome->root_exit) {
    return outcome->ended_by_signal ? kExitSignalBase + *outcome->ended_by_signal : kExitFailure;
  }
  const int status = outcome->root_exit->signaled ? kExitSignalBase + outcome->root_exit->code
                                                  : outcome->root_exit->code;
  return status == 0 && own_failure ? static_cast<int>(kExitFailure) : status;
}

}  // namespace stucktrace::cli
