#include <CLI/CLI.hpp>

#include "tracer/cli/commands.h"
#include "tracer/cli/failure.h"
#include "tracer/cli/launch_command.h"

namespace stucktrace::cli {

void add_run(CLI::App& app, const Startup& startup, Action& action) {
  CLI::App* command =
      app.add_subcommand("run", "launch a command under the tracer and follow its whole tree");
  struct RunOptions {
    CommonOptions common;
    bool no_seccomp = false;
    bool kill_on_exit = false;
  };
  auto options = std::make_shared<RunOptions>();
  add_tracing_options(*command, options->common);
  command->add_flag(
      "--no-seccomp", options->no_seccomp,
      "stop at every call, without a filter: slower; the tree can outlive the tracer");
  command->add_flag("--kill-on-exit", options->kill_on_exit,
                    "kill the tree if stucktrace ends (with a filter always)");
  add_diagnosis_options(*command, options->common);
  add_output_options(*command, options->common);
  // From the first word that is no option of ours everything belongs to the command.
  command->prefix_command();
  command->footer(
      "Exits with the command's own status, 128+N if signal N killed it, 125 if "
      "stucktrace failed, 126/127 if the command cannot be run / was not found.");
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
      const auto settings = check(options->common);
      if (!settings) return fail(settings.error());
      return launch_command(
          words, *settings,
          {.seccomp = !options->no_seccomp, .kill_on_exit = options->kill_on_exit}, startup);
    };
  });
}

}  // namespace stucktrace::cli
