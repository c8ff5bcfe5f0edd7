#include "tracer/cli/analysis.h"

#include <utility>
#include <variant>

namespace stucktrace::cli {

base::Result<std::unique_ptr<Analysis>> Analysis::create(const diagnose::Settings& settings) {
  auto phrases = diagnose::AnnouncePhrases::compile(settings.announce);
  if (!phrases) return base::Failure{phrases.error()};
  return std::unique_ptr<Analysis>(new Analysis(settings, std::move(*phrases)));
}

void Analysis::on_event(const model::Event& event) {
  history_.observe(event);
  tracker_.observe(event);
  const auto* sample = std::get_if<model::Sample>(&event.data);
  if (sample == nullptr || sample->before == nullptr || sample->now == nullptr) return;
  last_snapshot_ = sample->now;
  last_diagnosis_ = diagnose(*sample);
  tracker_.update(last_diagnosis_, sample->now->taken_at, &history_);
}

model::Diagnosis Analysis::diagnose(const model::Sample& sample) const {
  return diagnose::diagnose(*sample.before, *sample.now, &history_, settings_);
}

std::vector<model::FindingRecord> Analysis::take_news() {
  std::vector<model::FindingRecord> news;
  const std::vector<model::FindingRecord> all = tracker_.records();
  for (const std::size_t index : tracker_.take_new()) {
    if (index < all.size()) news.push_back(all[index]);
  }
  return news;
}

}  // namespace stucktrace::cli
