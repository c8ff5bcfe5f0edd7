#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "syscalls/table.h"
#include "syscalls/trace_set.h"
#include "tracer/cli/commands.h"
#include "tracer/cli/exit_codes.h"
#include "tracer/cli/failure.h"
#include "tracer/cli/output.h"

namespace stucktrace::cli {
namespace {

using syscalls::CallClass;
using syscalls::SyscallRow;
using syscalls::Trait;

struct ClassName {
  CallClass id;
  std::string_view name;
};
constexpr ClassName kClasses[] = {
    {CallClass::kFile, "file"},         {CallClass::kDesc, "desc"},
    {CallClass::kProcess, "process"},   {CallClass::kNetwork, "network"},
    {CallClass::kSignal, "signal"},     {CallClass::kIpc, "ipc"},
    {CallClass::kMemory, "memory"},     {CallClass::kTime, "time"},
    {CallClass::kCreds, "creds"},       {CallClass::kStat, "stat"},
    {CallClass::kPoll, "poll"},         {CallClass::kLock, "lock"},
    {CallClass::kBlocking, "blocking"},
};

struct TraitName {
  Trait id;
  std::string_view name;
};
constexpr TraitName kTraits[] = {
    {Trait::kMayBlock, "may block"},           {Trait::kMakesTask, "makes a task"},
    {Trait::kPlumbsFds, "plumbs descriptors"}, {Trait::kNeverReturns, "never returns"},
    {Trait::kWritesOutput, "writes output"},
};

std::string line_of(const SyscallRow& row) {
  std::string args;
  for (std::size_t i = 0; i < row.arg_count; ++i) {
    args += fmt::format("{}{}", i == 0 ? "" : ", ", row.args[i].name);
  }
  std::string classes;
  for (const ClassName& known : kClasses) {
    if (row.in(known.id)) classes += fmt::format(" %{}", known.name);
  }
  std::string traits;
  for (const TraitName& known : kTraits) {
    if (row.has(known.id)) traits += fmt::format("{}{}", traits.empty() ? " — " : ", ", known.name);
  }
  return fmt::format("{:>3}  {}({}){}{}", row.number, row.name, args, classes, traits);
}

int list(const std::vector<std::string>& words) {
  syscalls::TraceSet set = syscalls::TraceSet::all();
  if (!words.empty()) {
    auto parsed = syscalls::TraceSet::parse(fmt::format("{}", fmt::join(words, ",")));
    if (!parsed) return fail(parsed.error());
    set = *parsed;
  }
  Output out(STDOUT_FILENO, "stdout");
  for (const SyscallRow& row : syscalls::all_rows(syscalls::Abi::kX86_64)) {
    if (set.contains(row.id)) out.line(line_of(row));
  }
  if (auto written = out.check(); !written) return fail(written.error());
  return kExitOk;
}

}  // namespace

void add_syscalls(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand(
      "syscalls", "the system calls the tool knows: number, arguments, classes, traits");
  auto words = std::make_shared<std::vector<std::string>>();
  command->add_option("name", *words, "names, %class or /regex/; all without any");
  command->callback([words, &action] { action = [words] { return list(*words); }; });
}

}  // namespace stucktrace::cli
