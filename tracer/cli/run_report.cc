#include "tracer/cli/run_report.h"

#include <algorithm>

#include "tracer/render/cut_short.h"

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
  if (report.comparison) out_.comparison(*report.comparison, diagnostics_);
  if (out_.json_to_file()) out_.json(report, session_->lanes());
  out_.files(report, session_->took(), session_->lanes(), &diagnostics_);
}

void RunReport::finish(const std::vector<model::EndedProcess>& late) {
  if (told_ && told_->ended && !late.empty()) {
    diagnostics_.line("stucktrace: ended as well, found only then: " + render::process_list(late));
    told_->ended->processes.insert(told_->ended->processes.end(), late.begin(), late.end());
    std::ranges::sort(told_->ended->processes, {}, &model::EndedProcess::pid);
  }
  if (told_ && !out_.json_to_file()) out_.json(*told_, session_->lanes());
}

}  // namespace stucktrace::cli
