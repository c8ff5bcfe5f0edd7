#include "tracer/cli/report_output.h"

#include <unistd.h>

#include "tracer/render/json_report.h"
#include "tracer/render/text_report.h"

namespace stucktrace::cli {

base::Result<ReportOutput> ReportOutput::open(const Settings& settings) {
  ReportOutput output;
  output.verbose_ = settings.log_level == base::LogLevel::kVerbose;
  if (!settings.json) return output;
  if (settings.json_path.empty()) {
    output.json_out_.emplace(STDOUT_FILENO, "stdout");
    return output;
  }
  auto file = Output::create(settings.json_path);
  if (!file) return base::Failure{file.error()};
  output.json_out_ = std::move(*file);
  return output;
}

void ReportOutput::text(const model::Report& report, Output& out, bool color, bool stacks) const {
  out.write(render::text_report(report, {.color = color, .verbose = verbose_, .stacks = stacks}));
}

void ReportOutput::json(const model::Report& report) {
  if (json_out_) json_out_->line(render::json_report(report));
}

base::Result<void> ReportOutput::check() const {
  if (!json_out_) return {};
  return json_out_->check();
}

}  // namespace stucktrace::cli
