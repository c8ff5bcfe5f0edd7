#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tracer/base/result.h"
#include "tracer/cli/ci_environment.h"
#include "tracer/cli/distinct_files.h"
#include "tracer/cli/options.h"
#include "tracer/cli/output.h"
#include "tracer/model/verdict.h"
#include "tracer/render/subject.h"
#include "tracer/render/trace_lanes.h"

namespace stucktrace::cli {

// The report for CI servers and for people without a terminal: the files asked for, the summary of
// the job and the marks in its log.
class ReportFiles {
 public:
  // Opens every file, so that an unwritable path shows before anything starts. Until write() the
  // files of machines say that the trace did not come to its end: true if stucktrace is killed.
  // `words`: the traced command, or the pids; `inputs`: what is read as well, and no output may be.
  static base::Result<ReportFiles> open(const Settings& settings, const CiEnvironment& ci,
                                        std::string command, std::vector<std::string> words,
                                        const std::vector<InputFile>& inputs);

  // Once, at the end, whatever the end was. `took`: from the trace's start to its last event;
  // `lanes` are for the page's timeline, null without a trace.
  // `marks` takes the marks.
  void write(const model::Report& report, base::Nanoseconds took, const render::TraceLanes* lanes,
             Output& marks);
  void leave_marks_out() {
    annotates_ = false;
    summary_.reset();
  }
  // Where there is no report: why. Safe to call after write(), which then has precedence.
  void give_up(const base::Error& error);
  base::Result<void> check() const;

 private:
  // A draft is what a file says until the real text comes; a pipe's reader must not get both.
  enum class Draft : bool { kNo, kYes };
  void put(const model::Report& report, const render::TraceLanes* lanes, Draft draft);

  void summarise(const model::Report& report);

  render::Subject subject_;
  bool written_ = false;
  bool annotates_ = false;
  std::optional<Output> junit_;
  std::optional<Output> sarif_;
  std::optional<Output> html_;
  std::optional<Output> summary_;
};

}  // namespace stucktrace::cli
