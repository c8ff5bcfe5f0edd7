#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "tracer/base/result.h"
#include "tracer/diagnose/diagnose.h"
#include "tracer/diagnose/finding_tracker.h"
#include "tracer/diagnose/history.h"
#include "tracer/model/event.h"
#include "tracer/model/verdict.h"

namespace stucktrace::cli {

// From events to findings; the same object serves a live run and a replay, so both say the same.
class Analysis final : public model::EventSink {
 public:
  static base::Result<std::unique_ptr<Analysis>> create(const diagnose::Settings& settings);

  // A Sample event is diagnosed here.
  void on_event(const model::Event& event) override;
  // What a sample would say now, without keeping it.
  model::Diagnosis diagnose(const model::Sample& sample) const;
  // Findings that are new, or became more certain, since the last call.
  std::vector<model::FindingRecord> take_news();

  std::vector<model::FindingRecord> findings() const { return tracker_.records(); }
  // The newest diagnosed sample's snapshot and diagnosis; null and empty before the first.
  std::shared_ptr<const model::Snapshot> last_snapshot() const { return last_snapshot_; }
  const model::Diagnosis& last_diagnosis() const { return last_diagnosis_; }

 private:
  Analysis(diagnose::Settings settings, diagnose::AnnouncePhrases phrases)
      : settings_(std::move(settings)), history_(std::move(phrases)) {}
  diagnose::Settings settings_;
  diagnose::History history_;
  diagnose::FindingTracker tracker_;
  std::shared_ptr<const model::Snapshot> last_snapshot_;
  model::Diagnosis last_diagnosis_;
};

}  // namespace stucktrace::cli
