#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "tracer/base/result.h"
#include "tracer/compare/survey.h"
#include "tracer/model/event_source.h"
#include "tracer/record/event_file.h"
#include "tracer/record/writer.h"

namespace stucktrace::cli {

// The events of a live trace for who goes through them at its end, on disk: a trace has no limit.
// The trace's own recording serves where it holds all of them and can be read back; else they go to
// a file without a name.
class KeptEvents final : public model::EventSource {
 public:
  // `recording` is the path of the whole recording that was begun; "" there is none.
  static base::Result<std::unique_ptr<KeptEvents>> create(const std::string& recording,
                                                          const model::TraceHeader& header);

  void on_event(const model::Event& event) {
    survey_.observe(event);
    if (writer_) writer_->on_event(event);
  }
  const compare::Survey& survey() const { return survey_; }
  // No further events; the recording is finished.
  void finish();
  // After finish(). An error too where the events could not all be written.
  base::Result<void> for_each(const std::function<void(const model::Event&)>& use) const override;

 private:
  explicit KeptEvents(record::EventFile file) : file_(std::move(file)) {}

  compare::Survey survey_;
  record::EventFile file_;
  std::unique_ptr<record::Writer> writer_;  // into file_; null where it is the recording
  base::Result<void> written_;
};

}  // namespace stucktrace::cli
