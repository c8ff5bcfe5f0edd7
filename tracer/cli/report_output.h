#pragma once

#include <atomic>
#include <optional>
#include <string>
#include <vector>

#include "tracer/base/result.h"
#include "tracer/cli/options.h"
#include "tracer/cli/output.h"
#include "tracer/cli/report_files.h"
#include "tracer/model/verdict.h"

namespace stucktrace::cli {

// Where a report goes: text to a stream, JSON to stdout or a file, other formats to files. All are
// opened before anything starts, so that an unwritable path shows at once.
class ReportOutput {
 public:
  // `command` and `words`: what is reported about, for the files; `inputs`: what no output may be.
  static base::Result<ReportOutput> open(const Settings& settings, std::string command,
                                         std::vector<std::string> words,
                                         const std::vector<InputFile>& inputs = {});

  // Stacks of every thread after the findings.
  enum class Stacks {
    kNone,
    kMerged,  // Python frames in place of the interpreter's
    kNative,  // ... and those as well
  };
  void text(const model::Report& report, Output& out, bool color,
            Stacks stacks = Stacks::kNone) const;
  // What does not hold of what a run is judged by; nothing where all does.
  void comparison(const model::Comparison& comparison, Output& out) const;
  // Only where --json was given. `lanes` are of the trace, null without one.
  void json(const model::Report& report, const render::TraceLanes* lanes = nullptr);
  // json() goes to a file of its own, not to stdout.
  bool json_to_file() const { return json_to_file_; }
  // json() goes to stdout.
  bool to_stdout() const { return json_out_.has_value() && !json_to_file_; }
  // See Output::limit().
  void limit(const std::atomic<bool>& hurry) {
    if (json_out_) json_out_->limit(hurry);
  }
  // Files and marks for CI servers (report_files.h): once, at the end. `marks` is stderr, null to
  // write there at once.
  void files(const model::Report& report, base::Nanoseconds took,
             const render::TraceLanes* lanes = nullptr, Output* marks = nullptr);
  // Only the files that were asked for are written: nothing to the log of a CI server, or to its
  // summary of the job.
  void leave_marks_out() { files_.leave_marks_out(); }
  // Without a report, because of this: for the files.
  void give_up(const base::Error& error) { files_.give_up(error); }
  base::Result<void> check() const;

 private:
  bool verbose_ = false;
  bool json_to_file_ = false;
  bool sections_ = false;  // the log is GitLab's; a file that is written to is none
  ReportFiles files_;
  std::optional<Output> json_out_;
};

}  // namespace stucktrace::cli
