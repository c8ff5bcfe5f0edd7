#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tracer/engine/inherited.h"

namespace CLI {
class App;
}

namespace stucktrace::cli {

// A subcommand sets this when it was chosen; the caller runs it after parsing.
using Action = std::function<int()>;

// What the process was given by its own parent.
struct Startup {
  engine::Inherited inherited;  // a launched command's
  // `run ... -- COMMAND...`: the words after the first --; they are nobody's options.
  std::optional<std::vector<std::string>> command;
};

// Each adds one subcommand with its options and sets `action` when it is chosen. One file a
// command.
void add_run(CLI::App& app, const Startup& startup, Action& action);
void add_attach(CLI::App& app, Action& action);
void add_explain(CLI::App& app, Action& action);
void add_watch(CLI::App& app, Action& action);
void add_demo(CLI::App& app, const Startup& startup, Action& action);
void add_replay(CLI::App& app, Action& action);
void add_compare(CLI::App& app, Action& action);
void add_export(CLI::App& app, Action& action);
void add_syscalls(CLI::App& app, Action& action);
void add_doctor(CLI::App& app, Action& action);

}  // namespace stucktrace::cli
