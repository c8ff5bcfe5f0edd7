#pragma once

#include <optional>

#include "tracer/base/result.h"
#include "tracer/cli/options.h"
#include "tracer/cli/output.h"
#include "tracer/model/verdict.h"

namespace stucktrace::cli {

// Where a report goes: text to a stream, JSON to stdout or a file (opened before anything starts,
// so that an unwritable path shows at once).
class ReportOutput {
 public:
  static base::Result<ReportOutput> open(const Settings& settings);

  // `stacks`: every thread's, after the findings.
  void text(const model::Report& report, Output& out, bool color, bool stacks = false) const;
  // Only where --json was given.
  void json(const model::Report& report);
  base::Result<void> check() const;

 private:
  bool verbose_ = false;
  std::optional<Output> json_out_;
};

}  // namespace stucktrace::cli
