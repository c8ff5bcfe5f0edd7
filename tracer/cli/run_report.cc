#include "tracer/cli/run_report.h"

namespace stucktrace::cli {

void RunReport::tell(const model::Report& report) {
  if (told_) return;
  told_ = report;
  // A finding tells the stacks that matter; without one the stacks are what there is to tell.
  const bool stacks =
      report.ended && report.ended->because != "orphans" && report.diagnosis.findings.empty();
  if (!report.history.empty() || report.ended) {
    out_.text(report, diagnostics_, settings_.color_stderr,
              stacks ? ReportOutput::Stacks::kMerged : ReportOutput::Stacks::kNone);
  }
  if (out_.json_to_file()) out_.json(report, session_->lanes());
  out_.files(report, session_->took(), session_->lanes(), &diagnostics_);
}

void RunReport::finish() {
  if (told_ && !out_.json_to_file()) out_.json(*told_, session_->lanes());
}

}  // namespace stucktrace::cli
