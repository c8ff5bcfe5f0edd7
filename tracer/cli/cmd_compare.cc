#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <fstream>

#include "tracer/base/log.h"
#include "tracer/cli/analysis.h"
#include "tracer/cli/commands.h"
#include "tracer/cli/exit_codes.h"
#include "tracer/cli/failure.h"
#include "tracer/cli/golden.h"
#include "tracer/cli/output.h"
#include "tracer/record/event_file.h"

namespace stucktrace::cli {
namespace {

struct CompareOptions {
  GoldenOptions golden;
  std::string baseline;  // the run, where nothing else is named
  std::string file;
  bool quiet = false;
};

struct Recorded {
  compare::Survey survey;
  record::EventFile events;
  std::vector<model::FindingRecord> findings;
  base::Instant start;
  std::string path;
  std::optional<model::TracedCalls> traced;
  GoldenRun run() const { return {survey, events, findings, start, path, path, traced}; }
};

// A recording cut short, or of a trace that lost events, would differ for a reason that is none of
// the program's.
base::Result<Recorded> open_recording(const std::string& path) {
  auto file = record::EventFile::open(path);
  if (!file) return base::Failure{file.error()};
  auto reader = file->read();
  if (!reader) return base::Failure{reader.error()};
  const model::TraceHeader& header = reader->header();
  diagnose::Settings settings;
  settings.stuck_after = header.stuck_after;
  settings.announce = header.announce;
  auto analysis = Analysis::create(settings);
  if (!analysis) return base::Failure{analysis.error()};
  compare::Survey survey;
  std::uint64_t missing = 0;
  for (;;) {
    const auto event = reader->next();
    if (!event) return base::Failure{event.error()};
    if (!*event) break;
    if (const auto* lost = std::get_if<model::Lost>(&(*event)->data)) missing += lost->count;
    (*analysis)->on_event(**event);
    survey.observe(**event);
  }
  if (reader->cut()) {
    return base::malformed(
        fmt::format("{}: {}; only whole recordings can be compared", path, *reader->cut()));
  }
  if (missing > 0) {
    return base::malformed(fmt::format(
        "{}: {} events are missing; only whole recordings can be compared", path, missing));
  }
  return Recorded{
      std::move(survey), std::move(*file), (*analysis)->findings(), header.started, path,
      header.traced};
}

bool is_text_baseline(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string start(64, '\0');
  file.read(start.data(), static_cast<std::streamsize>(start.size()));
  start.resize(static_cast<std::size_t>(file.gcount()));
  return compare::is_baseline(start);
}

int compare_runs(const CompareOptions& options) {
  GoldenOptions words = options.golden;
  const bool alone = options.file.empty();
  if (alone && (words.update || words.assertions.empty())) {
    return fail(base::usage_error("nothing to compare with",
                                  "stucktrace compare BASELINE FILE, or --assert")
                    .error());
  }
  // A recording may stand for a baseline; only a text can be written.
  const bool recorded = !alone && !words.update && !is_text_baseline(options.baseline);
  if (!alone && !recorded) words.baseline = options.baseline;
  auto golden = Golden::open(words);
  if (!golden) return fail(golden.error());
  if (recorded) {
    const auto baseline = open_recording(options.baseline);
    if (!baseline) return fail(baseline.error());
    if (const auto used = golden->use_as_baseline(baseline->run()); !used) {
      return fail(used.error());
    }
  }
  const auto current = open_recording(alone ? options.baseline : options.file);
  if (!current) return fail(current.error());
  const auto outcome = golden->judge(current->run());
  if (!outcome) return fail(outcome.error());
  Output out(STDOUT_FILENO, "stdout");
  if (!options.quiet) {
    out.write(model::to_text(outcome->comparison));
    if (!outcome->message.empty()) {
      base::StderrLog(base::LogLevel::kNormal).say(base::LogLevel::kNormal, outcome->message);
    }
  }
  if (auto written = out.check(); !written) return fail(written.error());
  return outcome->comparison.passed() ? kExitOk : kExitDiffers;
}

}  // namespace

void add_compare(CLI::App& app, Action& action) {
  CLI::App* command =
      app.add_subcommand("compare", "golden traces: does a program still do what it did?");
  auto options = std::make_shared<CompareOptions>();
  command
      ->add_option("baseline", options->baseline,
                   "the text that --update wrote or writes, or a recording")
      ->required();
  command->add_option("file", options->file,
                      "the recording to judge; with --assert it may stand alone");
  add_golden_options(*command, options->golden);
  command->add_flag("-q,--quiet", options->quiet, "only the exit status");
  command->footer(
      "Clocks, pids, addresses, the order between threads and of children do not count.\n"
      "Exits with 0 if nothing differs and all assertions hold, else with 122.");
  command->callback([options, &action] { action = [options] { return compare_runs(*options); }; });
}

}  // namespace stucktrace::cli
