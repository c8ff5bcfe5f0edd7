#include "tracer/cli/cli.h"

#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <functional>
#include <string_view>
#include <utility>

#include "tracer/base/log.h"
#include "tracer/cli/commands.h"
#include "tracer/cli/exit_codes.h"
#include "tracer/cli/failure.h"
#include "tracer/cli/inherited_fds.h"
#include "tracer/cli/version.h"

namespace stucktrace::cli {
namespace {

// `run` takes everything behind "--" as it is; the parser would look for options of ours in it.
int cut_command(int argc, char** argv, std::optional<std::vector<std::string>>& command) {
  if (argc < 2 || std::string_view{argv[1]} != "run") return argc;
  for (int i = 2; i < argc; ++i) {
    if (std::string_view{argv[i]} != "--") continue;
    command.emplace(argv + i + 1, argv + argc);
    return i;
  }
  return argc;
}

// An empty word is a variable that was not set, not a way to leave an option out.
void refuse_empty_values(CLI::App& app) {
  for (CLI::App* command : app.get_subcommands({})) {
    for (CLI::Option* option : command->get_options()) {
      if (option->get_items_expected_max() == 0) continue;
      option->check([](const std::string& value) {
        return std::string{value.empty() ? "the value is empty" : ""};
      });
    }
  }
}

// All commands, or the one that is called alone: describing the others' options takes longer than
// starting a short command.
void add_commands(CLI::App& app, std::string_view called, Startup& startup, Action& action) {
  const std::pair<std::string_view, std::function<void()>> commands[] = {
      {"run", [&] { add_run(app, startup, action); }},
      {"attach", [&] { add_attach(app, action); }},
      {"explain", [&] { add_explain(app, action); }},
      {"watch", [&] { add_watch(app, action); }},
      {"demo", [&] { add_demo(app, startup, action); }},
      {"replay", [&] { add_replay(app, action); }},
      {"compare", [&] { add_compare(app, action); }},
      {"export", [&] { add_export(app, action); }},
      {"syscalls", [&] { add_syscalls(app, action); }},
      {"doctor", [&] { add_doctor(app, action); }},
  };
  const auto one = std::ranges::find(commands, called, [](const auto& each) { return each.first; });
  if (one != std::end(commands)) return one->second();
  for (const auto& [name, add] : commands) add();
}

int parse_and_run(int argc, char** argv, Startup startup) {
  const int own_words = cut_command(argc, argv, startup.command);
  CLI::App app{
      "stucktrace tells why a process tree is stuck: who waits for whom, on what, and what "
      "to change.",
      "stucktrace"};
  app.set_version_flag("--version", std::string{"stucktrace "} + kVersion);
  app.require_subcommand(1);
  app.footer(
      "stucktrace COMMAND --help tells more. Exit status: 0 nothing stuck, 121 stuck, 122 "
      "differs from the baseline, 124 deadline, 125 failure of stucktrace or bad usage.");
  Action action;
  add_commands(app, argc > 1 ? argv[1] : "", startup, action);
  refuse_empty_values(app);
  try {
    app.parse(own_words, argv);
  } catch (const CLI::Success& wanted) {  // --help, --version
    app.exit(wanted);
    return std::fflush(stdout) == 0 ? kExitOk : kExitFailure;
  } catch (const CLI::ParseError& error) {
    std::string line = error.what();
    for (char& c : line) {
      if (c == '\n') c = ' ';
    }
    return fail(base::usage_error(line, "see stucktrace --help").error());
  }
  return action();
}

// A file must not become descriptor 0, 1 or 2, where others read and write. The command finds those
// that are closed closed.
void reserve_standard_descriptors() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) < 0) ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  }
}

}  // namespace

int run(int argc, char** argv) {
  note_inherited_fds(argc, argv);
  reserve_standard_descriptors();
  const Startup startup{.inherited = engine::Inherited::take(), .command = {}};
  try {
    return parse_and_run(argc, argv, startup);
  } catch (const std::exception& error) {
    // Only exhausted memory and faults of the standard library come this far.
    return fail({base::ErrorKind::kSystem, std::string{"internal failure: "} + error.what(),
                 base::Errno{}, base::Tid{}, ""});
  }
}

}  // namespace stucktrace::cli
