#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <iterator>

#include "tracer/base/log.h"
#include "tracer/cli/analysis.h"
#include "tracer/cli/commands.h"
#include "tracer/cli/exit_codes.h"
#include "tracer/cli/failure.h"
#include "tracer/cli/output.h"
#include "tracer/compare/canonical.h"
#include "tracer/compare/diff.h"
#include "tracer/record/reader.h"

namespace stucktrace::cli {
namespace {

struct CompareOptions {
  std::string baseline;
  std::string current;
  bool update = false;
  bool quiet = false;
};

// A recording cut short would differ for a reason that is none of the program's.
base::Result<compare::CanonicalTrace> canonical_of_recording(const std::string& path) {
  auto recording = record::read_recording(path);
  if (!recording) return base::Failure{recording.error()};
  if (recording->cut) {
    return base::malformed(
        fmt::format("{}: {}; only whole recordings can be compared", path, *recording->cut));
  }
  diagnose::Settings settings;
  settings.stuck_after = recording->header.stuck_after;
  settings.announce = recording->header.announce;
  auto analysis = Analysis::create(settings);
  if (!analysis) return base::Failure{analysis.error()};
  for (const model::Event& event : recording->events) (*analysis)->on_event(event);
  return compare::canonicalise(recording->events, (*analysis)->findings(), {});
}

// Either form of a baseline: a recording, or the text that --update writes.
base::Result<compare::CanonicalTrace> read_baseline(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string start(64, '\0');
  file.read(start.data(), static_cast<std::streamsize>(start.size()));
  start.resize(static_cast<std::size_t>(file.gcount()));
  if (!compare::is_canonical_text(start)) return canonical_of_recording(path);
  file.clear();
  file.seekg(0);
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  auto trace = compare::parse(text);
  if (!trace) {
    base::Error error = trace.error();
    error.operation = fmt::format("{}: {}", path, error.operation);
    return base::Failure{error};
  }
  return trace;
}

// Whole or not at all: a baseline is never left half-written.
base::Result<void> replace_file(const std::string& path, const std::string& content) {
  const std::string fresh = fmt::format("{}.{}.new", path, ::getpid());
  auto out = Output::create(fresh);
  if (!out) return base::Failure{out.error()};
  out->write(content);
  if (auto written = out->check(); !written) {
    ::unlink(fresh.c_str());
    return written;
  }
  if (std::rename(fresh.c_str(), path.c_str()) != 0) {
    const base::Errno code = base::Errno::last();
    ::unlink(fresh.c_str());
    return base::system_error(fmt::format("cannot replace {}", path), code);
  }
  return {};
}

int update(const CompareOptions& options, const compare::CanonicalTrace& current) {
  if (auto done = replace_file(options.baseline, compare::to_text(current)); !done) {
    return fail(done.error());
  }
  if (!options.quiet) {
    base::StderrLog(base::LogLevel::kNormal)
        .say(base::LogLevel::kNormal, fmt::format("{} is the new baseline", options.baseline));
  }
  return kExitOk;
}

int compare_traces(const CompareOptions& options) {
  const auto current = canonical_of_recording(options.current);
  if (!current) return fail(current.error());
  if (options.update) return update(options, *current);
  const auto baseline = read_baseline(options.baseline);
  if (!baseline) return fail(baseline.error());
  const std::vector<compare::Difference> differences = compare::diff(*baseline, *current);
  if (differences.empty()) return kExitOk;
  Output out(STDOUT_FILENO, "stdout");
  if (!options.quiet) out.write(compare::to_text(differences));
  if (auto written = out.check(); !written) return fail(written.error());
  return kExitDiffers;
}

}  // namespace

void add_compare(CLI::App& app, Action& action) {
  CLI::App* command =
      app.add_subcommand("compare", "golden traces: has a program's blocking structure changed?");
  auto options = std::make_shared<CompareOptions>();
  command->add_option("baseline", options->baseline, "a recording, or the text --update wrote")
      ->required();
  command->add_option("file", options->current, "the recording to judge")->required();
  command->add_flag("--update", options->update,
                    "make the recording the new baseline, as reviewable text");
  command->add_flag("-q,--quiet", options->quiet, "only the exit status");
  command->footer(
      "Clocks, pids, addresses and the order between threads do not count.\n"
      "Exits with 0 if the traces are equal, 122 if they differ.");
  command->callback(
      [options, &action] { action = [options] { return compare_traces(*options); }; });
}

}  // namespace stucktrace::cli
