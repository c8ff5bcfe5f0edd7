#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <fstream>

#include "tracer/base/log.h"
#include "tracer/cli/commands.h"
#include "tracer/cli/exit_codes.h"
#include "tracer/cli/failure.h"
#include "tracer/cli/golden.h"
#include "tracer/cli/options.h"
#include "tracer/cli/output.h"
#include "tracer/cli/recorded_trace.h"
#include "tracer/cli/report_output.h"
#include "tracer/record/event_file.h"
#include "tracer/render/trace_lanes.h"

namespace stucktrace::cli {
namespace {

struct CompareOptions {
  GoldenOptions golden;
  std::string baseline;  // the run, where nothing else is named
  std::string file;
  CommonOptions common;
};

struct Recorded {
  compare::Survey survey;
  record::EventFile events;
  RecordedTrace trace;
  base::Instant start;
  std::string path;
  std::optional<model::TracedCalls> traced;
  GoldenRun run() const {
    return {survey, events, trace.report.history, start, path, path, traced};
  }
};

class Surveyor final : public render::TraceWriter {
 public:
  explicit Surveyor(compare::Survey& survey) : survey_(survey) {}
  void on_event(const model::Event& event) override {
    if (const auto* lost = std::get_if<model::Lost>(&event.data)) missing_ += lost->count;
    survey_.observe(event);
  }
  void finding(const model::FindingRecord&) override {}
  void close() override {}
  std::uint64_t missing() const { return missing_; }

 private:
  compare::Survey& survey_;
  std::uint64_t missing_ = 0;
};

// A recording cut short, or of a trace that lost events, would differ for a reason that is none of
// the program's. `lanes`: what its page shows, made here; null if there is none.
base::Result<Recorded> open_recording(const std::string& path,
                                      std::unique_ptr<render::TraceLanes>* lanes = nullptr) {
  auto file = record::EventFile::open(path);
  if (!file) return base::Failure{file.error()};
  auto reader = file->read();
  if (!reader) return base::Failure{reader.error()};
  const model::TraceHeader header = reader->header();
  if (lanes != nullptr) *lanes = std::make_unique<render::TraceLanes>(header.started);
  compare::Survey survey;
  Surveyor surveyor(survey);
  auto trace = go_through(*reader, {}, {&surveyor, lanes != nullptr ? lanes->get() : nullptr});
  if (!trace) return base::Failure{trace.error()};
  if (reader->cut()) {
    return base::malformed(
        fmt::format("{}: {}; only whole recordings can be compared", path, *reader->cut()));
  }
  if (surveyor.missing() > 0) {
    return base::malformed(
        fmt::format("{}: {} events are missing; only whole recordings can be compared", path,
                    surveyor.missing()));
  }
  return Recorded{std::move(survey), std::move(*file), std::move(*trace), header.started, path,
                  header.traced};
}

// What does not exist is to become one.
bool is_text_baseline(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return ::access(path.c_str(), F_OK) != 0;
  std::string start(64, '\0');
  file.read(start.data(), static_cast<std::streamsize>(start.size()));
  start.resize(static_cast<std::size_t>(file.gcount()));
  return compare::is_baseline(start);
}

struct Compared {
  model::Report report;  // of the run that was judged, with "comparison"
  base::Nanoseconds took{};
  std::unique_ptr<render::TraceLanes> lanes;  // null where nobody asked for them
  std::string message;                        // of an update
};

base::Result<Compared> compare_runs(const CompareOptions& options, bool with_lanes) {
  GoldenOptions words = options.golden;
  const bool alone = options.file.empty();
  if (alone && (words.update || words.assertions.empty())) {
    return base::usage_error("nothing to compare with",
                             "stucktrace compare BASELINE FILE, or --assert");
  }
  // A recording may stand for a baseline; only a text can be written.
  const bool recorded = !alone && !words.update && !is_text_baseline(options.baseline);
  if (!alone && !recorded) words.baseline = options.baseline;
  auto golden = Golden::open(words);
  if (!golden) return base::Failure{golden.error()};
  if (recorded) {
    const auto baseline = open_recording(options.baseline);
    if (!baseline) return base::Failure{baseline.error()};
    if (const auto used = golden->use_as_baseline(baseline->run()); !used) {
      return base::Failure{used.error()};
    }
  }
  Compared compared;
  auto current = open_recording(alone ? options.baseline : options.file,
                                with_lanes ? &compared.lanes : nullptr);
  if (!current) return base::Failure{current.error()};
  auto outcome = golden->judge(current->run());
  if (!outcome) return base::Failure{outcome.error()};
  if (recorded) {
    // The reports name what was compared with, whichever kind it is of; a recording has no lines.
    outcome->comparison.baseline = options.baseline;
    for (model::Difference& difference : outcome->comparison.differences) difference.line = 0;
  }
  compared.report = std::move(current->trace.report);
  compared.report.comparison = std::move(outcome->comparison);
  compared.took = current->trace.took;
  compared.message = std::move(outcome->message);
  return compared;
}

int compare(const CompareOptions& options) {
  const auto settings = check(options.common);
  if (!settings) return fail(settings.error());
  std::vector<std::string> words{options.baseline};
  std::vector<InputFile> inputs{{options.baseline, "the baseline"}};
  if (!options.file.empty()) {
    words.push_back(options.file);
    inputs.push_back({options.file, "the recording"});
  }
  auto report_out = ReportOutput::open(*settings, "compare", std::move(words), inputs);
  if (!report_out) return fail(report_out.error());
  const auto compared = compare_runs(options, !settings->html_path.empty() || settings->json);
  if (!compared) {
    report_out->give_up(compared.error());
    return fail(compared.error());
  }
  const bool json_on_stdout = report_out->to_stdout();
  Output out(json_on_stdout ? STDERR_FILENO : STDOUT_FILENO, json_on_stdout ? "stderr" : "stdout");
  const model::Comparison& comparison = *compared->report.comparison;
  if (!settings->quiet) {
    report_out->comparison(comparison, out);
    if (!compared->message.empty()) {
      base::StderrLog(base::LogLevel::kNormal).say(base::LogLevel::kNormal, compared->message);
    }
  }
  // What its baseline holds is what the run is to be, a finding too.
  if (comparison.passed()) report_out->leave_marks_out();
  report_out->json(compared->report, compared->lanes.get());
  report_out->files(compared->report, compared->took, compared->lanes.get());
  if (auto written = report_out->check(); !written) return fail(written.error());
  if (auto written = out.check(); !written) return fail(written.error());
  return comparison.passed() ? kExitOk : kExitDiffers;
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
  add_report_options(*command, options->common);
  add_json_option(*command, options->common);
  command->add_flag("-q,--quiet", options->common.quiet,
                    "only the exit status and the files asked for");
  command->footer(
      "Clocks, pids, addresses, the order between threads and of children do not count.\n"
      "Exits with 0 if nothing differs and all assertions hold, else with 122.");
  command->callback([options, &action] { action = [options] { return compare(*options); }; });
}

}  // namespace stucktrace::cli
