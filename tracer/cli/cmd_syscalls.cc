#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>

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

std::string line_of(syscalls::Abi abi, const SyscallRow& row) {
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
  return fmt::format("{:>3}  {}({}){}{}", syscalls::kernel_number(abi, row), row.name, args,
                     classes, traits);
}

constexpr syscalls::Abi kAbis[] = {syscalls::Abi::kX86_64, syscalls::Abi::kI386,
                                   syscalls::Abi::kX32, syscalls::Abi::kAarch64};

syscalls::Abi abi_of(const std::string& name) {
  const auto* found = std::ranges::find(kAbis, name, syscalls::abi_name);
  return found == std::end(kAbis) ? syscalls::kNativeAbi : *found;
}

int list(const std::string& abi_text, const std::vector<std::string>& words) {
  syscalls::TraceSet set = syscalls::TraceSet::all();
  if (!words.empty()) {
    auto parsed = syscalls::TraceSet::parse(fmt::format("{}", fmt::join(words, ",")));
    if (!parsed) return fail(parsed.error());
    set = *parsed;
  }
  Output out(STDOUT_FILENO, "stdout");
  const syscalls::Abi abi = abi_of(abi_text);
  for (const SyscallRow& row : syscalls::all_rows(abi)) {
    if (set.contains(row.id)) out.line(line_of(abi, row));
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
  auto abi = std::make_shared<std::string>(syscalls::abi_name(syscalls::kNativeAbi));
  std::vector<std::string> names;
  for (const syscalls::Abi known : kAbis) names.emplace_back(syscalls::abi_name(known));
  command->add_option("--abi", *abi, "whose numbers: x86_64, i386, x32 or aarch64")
      ->check(CLI::IsMember(names));
  command->callback(
      [words, abi, &action] { action = [words, abi] { return list(*abi, *words); }; });
}

}  // namespace stucktrace::cli
