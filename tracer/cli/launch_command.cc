#include "tracer/cli/launch_command.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "tracer/base/text.h"
#include "tracer/cli/command_lookup.h"
#include "tracer/cli/event_pump.h"
#include "tracer/cli/exit_codes.h"
#include "tracer/cli/failure.h"
#include "tracer/cli/live_session.h"
#include "tracer/cli/report_output.h"
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
  const bool tracer = is_tracer(path);
  if (tracer || gains_rights(path)) {
    log.say(base::LogLevel::kNormal,
            fmt::format("{} {}: every call stops, as with --no-seccomp", base::escape_text(path),
                        tracer ? "traces others itself" : "gains rights when executed"));
    return std::nullopt;
  }
  return settings.chosen_set ? engine::filter_for(settings.tracer.trace)
                             : engine::diagnosis_filter();
}

}  // namespace

int launch_command(const std::vector<std::string>& words, const Settings& settings,
                   const LaunchOptions& launch, const Startup& startup) {
  const char* path = std::getenv("PATH");
  auto found = find_command(words.front(), path != nullptr ? path : "/usr/local/bin:/usr/bin:/bin");
  if (!found) return cannot_run(found.error());

  const base::SystemClock clock;
  base::StderrLog log(settings.log_level);
  Output diagnostics(STDERR_FILENO, "stderr");
  engine::TracerOptions options = settings.tracer;
  options.filter = choose_filter(*found, settings, launch, log);
  options.kill_on_exit = launch.kill_on_exit;
  auto session = LiveSession::create(settings,
                                     {.mode = "launch",
                                      .command = words,
                                      .time_limit = {},
                                      .until_stuck = false,
                                      .looks_up_calls = options.filter.has_value()},
                                     clock, log, diagnostics);
  if (!session) return fail(session.error());
  auto report_out = ReportOutput::open(settings);
  if (!report_out) return fail(report_out.error());

  std::optional<kernel::FastIdle> fast_idle;
  if (settings.fast_idle) {
    auto held = kernel::FastIdle::hold();
    if (!held) return fail(held.error());
    fast_idle = std::move(*held);
  }
  EventPump pump(**session, clock);
  engine::Tracer tracer(std::move(options), clock, *pump.sinks().front(), log);
  engine::Command command;
  command.path = *found;
  command.argv = words;
  command.restore_sigpipe = !startup.sigpipe_ignored;
  const auto pid = tracer.launch(command);
  if (!pid) return fail(pid.error());
  (*session)->add_root(*pid);
  pump.start([&tracer] { return tracer.shared_cpu(); });
  const auto outcome = tracer.run(pump);
  pump.finish();
  tell_counters(tracer.counters(), pump, log);
  diagnostics.write((*session)->summary());
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
