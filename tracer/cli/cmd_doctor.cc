#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "tracer/base/text.h"
#include "tracer/cli/commands.h"
#include "tracer/cli/exit_codes.h"
#include "tracer/cli/failure.h"
#include "tracer/cli/output.h"
#include "tracer/cli/targets.h"
#include "tracer/kernel/preflight.h"

namespace stucktrace::cli {
namespace {

int doctor(const std::vector<std::string>& words) {
  Output out(STDOUT_FILENO, "stdout");
  bool well = true;
  const auto tell = [&](const std::string& subject, const kernel::PreflightReport& report) {
    const char* verdict = report.can_trace  ? "can be traced and looked at"
                          : report.can_look ? "can be looked at (explain), not traced"
                                            : "can neither be traced nor looked at";
    out.line(fmt::format("{}: {}", subject, verdict));
    if (!report.cause.empty()) out.line(fmt::format("  why:    {}", report.cause));
    if (!report.remedy.empty()) out.line(fmt::format("  remedy: {}", report.remedy));
    for (const kernel::PreflightReport::Fact& fact : report.facts) {
      out.line(fmt::format("  {:<20} {}", fact.name, fact.value));
    }
    well = well && report.can_trace;
  };
  const auto pids = parse_pids(words);
  if (!pids) return fail(pids.error());
  const kernel::Procfs procfs;
  const kernel::Caller caller = kernel::Caller::current();
  if (pids->empty()) tell("an own child", kernel::preflight_machine(procfs, caller));
  for (const base::Pid pid : *pids) {
    tell(fmt::format("process {}", pid), kernel::preflight(procfs, pid, caller));
  }
  if (auto written = out.check(); !written) return fail(written.error());
  return well ? kExitOk : kExitFailure;
}

}  // namespace

void add_doctor(CLI::App& app, Action& action) {
  CLI::App* command =
      app.add_subcommand("doctor", "can I trace this? the cause why not, and what removes it");
  auto words = std::make_shared<std::vector<std::string>>();
  command->add_option("pid", *words, "the process; without one: this machine and this user");
  command->footer("Exits with 0 if it can be traced, else 125.");
  command->callback([words, &action] { action = [words] { return doctor(*words); }; });
}

}  // namespace stucktrace::cli
