#include "tracer/cli/report_output.h"

#include <unistd.h>

#include "tracer/render/annotations.h"
#include "tracer/render/comparison_text.h"
#include "tracer/render/finding_scope.h"
#include "tracer/render/json_report.h"
#include "tracer/render/text_report.h"
#include "tracer/render/told_finding.h"

namespace stucktrace::cli {

base::Result<ReportOutput> ReportOutput::open(const Settings& settings, std::string command,
                                              std::vector<std::string> words,
                                              const std::vector<InputFile>& inputs) {
  ReportOutput output;
  const CiEnvironment ci = CiEnvironment::of_this_process();
  output.sections_ = ci.gitlab;
  auto files = ReportFiles::open(settings, ci, std::move(command), std::move(words), inputs);
  if (!files) return base::Failure{files.error()};
  output.files_ = std::move(*files);
  output.verbose_ = settings.log_level == base::LogLevel::kVerbose;
  if (!settings.json) return output;
  if (settings.json_path.empty()) {
    output.json_out_.emplace(STDOUT_FILENO, "stdout");
    return output;
  }
  auto file = Output::create(settings.json_path);
  if (!file) return base::Failure{file.error()};
  output.json_out_ = std::move(*file);
  output.json_to_file_ = true;
  return output;
}

void ReportOutput::text(const model::Report& report, Output& out, bool color, Stacks stacks) const {
  const std::string text = render::text_report(report, {.color = color,
                                                        .verbose = verbose_,
                                                        .stacks = stacks != Stacks::kNone,
                                                        .native = stacks == Stacks::kNative});
  const auto findings = render::told_findings(report);
  if (!sections_ || findings.empty() || out.rewritable()) {
    out.write(text);
    return;
  }
  out.write(render::gitlab_section("stucktrace_report",
                                   "stucktrace: " + render::verdict_text(findings.front()), text,
                                   base::SystemClock{}.wall()));
}

void ReportOutput::comparison(const model::Comparison& comparison, Output& out) const {
  const std::string text = model::to_text(comparison);
  if (!sections_ || text.empty() || out.rewritable()) {
    out.write(text);
    return;
  }
  out.write(render::gitlab_section("stucktrace_comparison",
                                   "stucktrace: " + render::comparison_sentence(comparison), text,
                                   base::SystemClock{}.wall()));
}

void ReportOutput::files(const model::Report& report, base::Nanoseconds took,
                         const render::TraceLanes* lanes, Output* marks) {
  Output diagnostics(STDERR_FILENO, "stderr");
  files_.write(report, took, lanes, marks != nullptr ? *marks : diagnostics);
}

void ReportOutput::json(const model::Report& report, const render::TraceLanes* lanes) {
  if (!json_out_) return;
  // In one piece with its end: others may append to the same file. No copy: it may be megabytes.
  std::string text = render::json_report(report, lanes);
  text += '\n';
  json_out_->write(text);
}

base::Result<void> ReportOutput::check() const {
  if (json_out_) {
    if (auto written = json_out_->check(); !written) return written;
  }
  return files_.check();
}

}  // namespace stucktrace::cli
