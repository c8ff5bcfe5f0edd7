#pragma once

#include <gtest/gtest.h>

#include <vector>

#include "tracer/compare/canonical.h"

namespace stucktrace::compare {

// Of events in memory, which can always be had.
inline CanonicalRun canonical(const std::vector<model::Event>& events,
                              const std::vector<model::FindingRecord>& findings,
                              const Options& options) {
  Survey survey;
  for (const model::Event& event : events) survey.observe(event);
  auto run = canonicalise(survey, model::EventList{events}, findings, options);
  if (run) return std::move(*run);
  ADD_FAILURE() << run.error().message();
  return {};
}

}  // namespace stucktrace::compare
