#include "tracer/cli/report_files.h"

#include <fmt/format.h>
#include <unistd.h>

#include "tracer/base/log.h"
#include "tracer/cli/live_session.h"
#include "tracer/cli/version.h"
#include "tracer/render/annotations.h"
#include "tracer/render/cut_short.h"
#include "tracer/render/html_report.h"
#include "tracer/render/junit_report.h"
#include "tracer/render/markdown_report.h"
#include "tracer/render/sarif_report.h"
#include "tracer/render/told_finding.h"

namespace stucktrace::cli {
namespace {

base::Result<std::optional<Output>> create(const std::string& path) {
  if (path.empty()) return std::nullopt;
  auto file = Output::create(path);
  if (!file) return base::Failure{file.error()};
  return std::move(*file);
}

model::Report empty_report() {
  model::Report report;
  report.tool_version = kVersion;
  report.host = host_description();
  report.taken_wall = base::SystemClock{}.wall();
  return report;
}

}  // namespace

base::Result<ReportFiles> ReportFiles::open(const Settings& settings, const CiEnvironment& ci,
                                            std::string command, std::vector<std::string> words,
                                            const std::vector<InputFile>& inputs) {
  auto distinct =
      check_outputs(inputs, {settings.record_path, settings.json_path, settings.junit_path,
                             settings.sarif_path, settings.html_path, ci.summary_path});
  if (!distinct) return base::Failure{distinct.error()};
  ReportFiles files;
  files.subject_.command = std::move(command);
  files.subject_.words = std::move(words);
  files.subject_.source_root = ci.source_root;
  files.annotates_ = ci.github;
  auto junit = create(settings.junit_path);
  if (!junit) return base::Failure{junit.error()};
  files.junit_ = std::move(*junit);
  auto sarif = create(settings.sarif_path);
  if (!sarif) return base::Failure{sarif.error()};
  files.sarif_ = std::move(*sarif);
  auto html = create(settings.html_path);
  if (!html) return base::Failure{html.error()};
  files.html_ = std::move(*html);
  if (!ci.summary_path.empty()) {
    // Nobody asked for it: a job must not fail because its summary cannot be written.
    if (auto summary = Output::append(ci.summary_path)) {
      files.summary_ = std::move(*summary);
    } else {
      base::StderrLog(settings.log_level)
          .say(base::LogLevel::kNormal,
               fmt::format("no summary of the job: {}", summary.error().message()));
    }
  }
  files.subject_.failure = "stucktrace was ended before it could report";
  files.put(empty_report(), nullptr, Draft::kYes);
  files.subject_.failure.clear();
  return files;
}

void ReportFiles::put(const model::Report& report, const render::TraceLanes* lanes, Draft draft) {
  const auto give = [&](std::optional<Output>& out, auto text) {
    if (!out || (draft == Draft::kYes && !out->rewritable())) return;
    out->replace(text());
  };
  give(junit_, [&] { return render::junit_report(report, subject_); });
  give(sarif_, [&] { return render::sarif_report(report, subject_); });
  give(html_, [&] { return render::html_report(report, subject_, lanes); });
}

void ReportFiles::write(const model::Report& report, base::Nanoseconds took,
                        const render::TraceLanes* lanes, Output& marks) {
  written_ = true;
  subject_.took = took;
  put(report, lanes, Draft::kNo);
  // Nobody wants to read in the job's summary that nothing happened.
  const bool differs = report.comparison && !report.comparison->passed();
  if (differs || !render::told_findings(report).empty() || render::cut_short(report) != nullptr) {
    summarise(report);
  }
  if (annotates_) marks.write(render::github_annotations(report, subject_));
}

void ReportFiles::give_up(const base::Error& error) {
  if (written_) return;
  subject_.failure = error.message();
  const model::Report report = empty_report();
  put(report, nullptr, Draft::kNo);
  summarise(report);
}

void ReportFiles::summarise(const model::Report& report) {
  if (!summary_) return;
  // Other steps of the job, and other runs, write to the same file.
  constexpr std::size_t kLeast = 2000;
  const std::size_t there = summary_->size();
  const std::size_t room = there < render::kSummaryLimit ? render::kSummaryLimit - there : 0;
  if (room >= kLeast) summary_->write(render::markdown_report(report, subject_, room));
}

// Of what was asked for: the job's summary was not.
base::Result<void> ReportFiles::check() const {
  for (const std::optional<Output>* file : {&junit_, &sarif_, &html_}) {
    if (!*file) continue;
    if (auto written = (*file)->check(); !written) return written;
  }
  return {};
}

}  // namespace stucktrace::cli
