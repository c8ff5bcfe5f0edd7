#pragma once

#include <optional>
#include <vector>

#include "tracer/cli/live_session.h"
#include "tracer/cli/options.h"
#include "tracer/cli/output.h"
#include "tracer/cli/report_output.h"
#include "tracer/model/verdict.h"

namespace stucktrace::cli {

// The report of a launched command: text to stderr, JSON to its file or stdout, files; once. With a
// limit reached it is the one from before the tree's end, told at once; stdout gets its line after
// what the tree writes till then.
class RunReport {
 public:
  RunReport(ReportOutput& out, Output& diagnostics, const Settings& settings)
      : out_(out), diagnostics_(diagnostics), settings_(settings) {}

  // Whose reports are told; before the first one.
  void follow(const LiveSession& session) { session_ = &session; }
  // Nothing if one was told already.
  void tell(const model::Report& report);
  // `late`: who was ended as well, and is not in what was told.
  void finish(const std::vector<model::EndedProcess>& late);
  bool told() const { return told_.has_value(); }

 private:
  ReportOutput& out_;
  Output& diagnostics_;
  const Settings& settings_;
  const LiveSession* session_ = nullptr;
  std::optional<model::Report> told_;
};

}  // namespace stucktrace::cli
