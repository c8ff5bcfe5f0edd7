#include "tracer/render/comparison_json.h"

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>

#include "tracer/render/comparison_text.h"

namespace stucktrace::render {
namespace {

using Json = nlohmann::ordered_json;

Json text_or_null(const std::string& text) {
  return text.empty() ? Json(nullptr) : Json(text);
}

Json line_or_null(std::size_t line) {
  return line == 0 ? Json(nullptr) : Json(line);
}

Json difference_json(const Mismatch& mismatch) {
  const model::Difference& difference = *mismatch.difference;
  const char* kind = difference.section_missing ? "missing"
                     : difference.section_added ? "added"
                                                : "differs";
  return {{"name", mismatch.name},
          {"role", difference.role},
          {"title", difference.title},
          {"kind", kind},
          {"line", line_or_null(difference.line)},
          {"headline", mismatch.headline},
          {"before", difference.before},
          {"expected", difference.expected},
          {"got", difference.got},
          {"after", difference.after},
          {"replay", mismatch.replay}};
}

Json place_json(const std::optional<model::TimelinePlace>& place) {
  if (!place) return nullptr;
  const auto at = std::chrono::floor<std::chrono::milliseconds>(place->at);
  return {{"at_ms", at.count()}, {"role", place->role}, {"call", place->call}};
}

Json assertion_json(const model::AssertionCheck& assertion, const model::Comparison& comparison) {
  Json out = {{"name", assertion_name(assertion)},
              {"text", assertion.text},
              {"line", line_or_null(assertion.line)},
              {"holds", assertion.holds}};
  if (assertion.holds) return out;
  out["seen"] = assertion.seen;
  out["place"] = place_json(assertion.place);
  out["replay"] = replay(assertion, comparison);
  return out;
}

}  // namespace

Json comparison_json(const model::Comparison& comparison) {
  Json differences = Json::array();
  for (const Mismatch& mismatch : mismatches(comparison)) {
    if (mismatch.difference != nullptr) differences.push_back(difference_json(mismatch));
  }
  Json assertions = Json::array();
  for (const model::AssertionCheck& assertion : comparison.assertions) {
    assertions.push_back(assertion_json(assertion, comparison));
  }
  return {{"passed", comparison.passed()},         {"baseline", text_or_null(comparison.baseline)},
          {"updated", comparison.updated},         {"failure", text_or_null(comparison.failure)},
          {"differences", std::move(differences)}, {"assertions", std::move(assertions)}};
}

}  // namespace stucktrace::render
