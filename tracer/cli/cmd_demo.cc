#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "tracer/base/text.h"
#include "tracer/cli/commands.h"
#include "tracer/cli/demo_index.h"
#include "tracer/cli/exit_codes.h"
#include "tracer/cli/failure.h"
#include "tracer/cli/launch_command.h"
#include "tracer/cli/output.h"

namespace stucktrace::cli {
namespace {

struct DemoOptions {
  CommonOptions common;
  std::string name;
  bool healthy = false;
};

int list_demos(const std::vector<Demo>& demos) {
  Output out(STDOUT_FILENO, "stdout");
  for (const Demo& demo : demos) out.line(fmt::format("{:<22} {}", demo.name, demo.description));
  if (auto written = out.check(); !written) return fail(written.error());
  return kExitOk;
}

int demo(const DemoOptions& options, const Startup& startup) {
  const auto settings = check(options.common);
  if (!settings) return fail(settings.error());
  const auto demos = read_demo_index();
  if (!demos) return fail(demos.error());
  if (options.name.empty()) return list_demos(*demos);
  for (const Demo& candidate : *demos) {
    if (candidate.name != options.name) continue;
    std::vector<std::string> words;
    if (!candidate.interpreter.empty()) words.push_back(candidate.interpreter);
    words.push_back(candidate.path);
    const std::vector<std::string>& args = options.healthy ? candidate.healthy : candidate.hanging;
    words.insert(words.end(), args.begin(), args.end());
    // A demonstration shows every step.
    return launch_command(words, *settings, {.seccomp = false}, startup);
  }
  return fail(
      base::usage_error(fmt::format("no demo is called {}", base::escape_text(options.name)),
                        "stucktrace demo lists them")
          .error());
}

}  // namespace

void add_demo(CLI::App& app, const Startup& startup, Action& action) {
  CLI::App* command = app.add_subcommand(
      "demo", "replay a bundled hang under the tracer; without a name: list them");
  auto options = std::make_shared<DemoOptions>();
  command->add_option("name", options->name, "which");
  command->add_flag("--healthy", options->healthy, "run its healthy twin: no finding is right");
  add_tracing_options(*command, options->common);
  add_report_options(*command, options->common);
  add_diagnosis_options(*command, options->common);
  add_output_options(*command, options->common);
  command->callback([options, startup, &action] {
    action = [options, startup] { return demo(*options, startup); };
  });
}

}  // namespace stucktrace::cli
