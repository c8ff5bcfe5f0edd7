#include "tracer/render/junit_report.h"

#include <fmt/format.h>

#include <map>
#include <string_view>

#include "tracer/render/calm.h"
#include "tracer/render/comparison_text.h"
#include "tracer/render/cut_short.h"
#include "tracer/render/escape.h"
#include "tracer/render/finding_place.h"
#include "tracer/render/finding_text.h"
#include "tracer/render/sight.h"
#include "tracer/render/told_finding.h"
#include "tracer/render/wall_time.h"

namespace stucktrace::render {
namespace {

std::string seconds(base::Nanoseconds duration) {
  return fmt::format("{:.3f}", std::chrono::duration<double>(duration).count());
}

class Suite {
 public:
  // `body` is the inside of the element; empty: the test passed.
  void add(std::string name, base::Nanoseconds took, std::string_view body) {
    const int copies = ++names_[name];
    if (copies > 1) name += fmt::format(" ({})", copies);
    text_ += fmt::format("    <testcase classname=\"stucktrace\" name=\"{}\" time=\"{}\"",
                         xml_attribute(name), seconds(took));
    text_ += body.empty() ? std::string("/>\n") : fmt::format(">\n{}    </testcase>\n", body);
    ++tests_;
  }
  std::size_t tests() const { return tests_; }
  const std::string& text() const { return text_; }

 private:
  std::map<std::string, int> names_;
  std::string text_;
  std::size_t tests_ = 0;
};

base::Nanoseconds stalled(const model::Report& report, const Told& told) {
  if (told.record != nullptr) {
    return told.record->resolved_at.value_or(report.taken_at) - told.record->stalled_since;
  }
  base::Nanoseconds longest{};
  for (const model::ChainLink& link : told.finding->chain) {
    longest = std::max(longest, link.since.value_or(base::Nanoseconds{}));
  }
  return longest;
}

std::string failure(const model::Report& report, const Told& told) {
  return fmt::format(
      "      <failure type=\"{}\" message=\"{}\">{}</failure>\n",
      xml_attribute(fmt::format("{} ({})", told.finding->rule, to_string(told.finding->certainty))),
      xml_attribute(verdict_text(told)), xml_text(finding_story(report, told)));
}

// A test for each difference and each assertion, and one that there is no difference. The time of
// the run is not theirs. How many failed.
std::size_t add_comparison(const model::Comparison& comparison, Suite& suite) {
  const std::vector<Mismatch> failed = mismatches(comparison);
  for (const Mismatch& each : failed) {
    suite.add(each.name, {},
              fmt::format("      <failure type=\"{}\" message=\"{}\">{}</failure>\n", each.rule,
                          xml_attribute(each.headline), xml_text(each.story)));
  }
  const bool compared = !comparison.baseline.empty() && !comparison.updated;
  if (compared && comparison.differences.empty() && comparison.failure.empty()) {
    suite.add("baseline: " + terminal_text(comparison.baseline, kSentenceLimit), {}, "");
  }
  for (const model::AssertionCheck& assertion : comparison.assertions) {
    if (assertion.holds) suite.add(assertion_name(assertion), {}, "");
  }
  return failed.size();
}

// Where findings tell the story, whom the end took all the same.
std::string end_story(const model::Report& report) {
  std::string story = cut_short_story(report);
  return story.empty() ? ended_processes_sentence(*report.ended) : story;
}

std::string property(std::string_view name, std::string_view value) {
  return fmt::format("      <property name=\"{}\" value=\"{}\"/>\n", name, xml_attribute(value));
}

}  // namespace

std::string junit_report(const model::Report& report, const Subject& subject) {
  Suite suite;
  const std::vector<Told> findings = told_findings(report);
  for (const Told& told : findings) {
    suite.add(finding_name(report, *told.finding), stalled(report, told), failure(report, told));
  }
  std::size_t failures = findings.size();
  std::size_t errors = 0;
  if (const model::Ended* ended = cut_short(report)) {
    ++errors;
    suite.add("ended: " + ended->because, subject.took,
              fmt::format("      <error type=\"{}\" message=\"{}\">{}</error>\n",
                          xml_attribute(ended->because), xml_attribute(cut_short_sentence(*ended)),
                          xml_text(end_story(report))));
  }
  if (!subject.failure.empty()) {
    ++errors;
    suite.add("the trace", subject.took,
              fmt::format("      <error type=\"stucktrace\" message=\"{}\"/>\n",
                          xml_attribute(terminal_text(subject.failure, kSentenceLimit))));
  }
  if (suite.tests() == 0) suite.add("nothing is stuck", subject.took, "");
  if (report.comparison) {
    failures += add_comparison(*report.comparison, suite);
    if (!report.comparison->failure.empty()) {
      ++errors;
      suite.add("comparison", {},
                fmt::format("      <error type=\"comparison\" message=\"{}\"/>\n",
                            xml_attribute(comparison_sentence(*report.comparison))));
    }
  }

  constexpr std::size_t kCommandColumns = 1000;
  const std::string counts =
      fmt::format("tests=\"{}\" failures=\"{}\" errors=\"{}\"", suite.tests(), failures, errors);
  std::string out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
  // Of the two schemas in use Apache Ant's knows no attributes here, asks for id, package and host
  // (whose name is nobody's business), and for both outputs at the end.
  out += "<testsuites>\n";
  std::string started = iso_time(report.taken_wall - subject.took);
  started.resize(started.find('.'));  // whole seconds, no zone: what the format's readers take
  out += fmt::format(
      "  <testsuite name=\"stucktrace\" {} skipped=\"0\" time=\"{}\" timestamp=\"{}\" "
      "hostname=\"localhost\" id=\"0\" package=\"stucktrace\">\n",
      counts, seconds(subject.took), started);
  out += "    <properties>\n";
  out += property("command", subject.command + " " + command_text(subject.words, kCommandColumns));
  out += property("version", report.tool_version);
  out += property("host", report.host);
  out += "    </properties>\n";
  out += suite.text();
  std::string said = findings.empty() && errors == 0 ? calm_sentence(report) + "\n" : "";
  if (report.ended && cut_short(report) == nullptr) {
    said += ended_sentences(*report.ended) + "\n";
  }
  if (report.comparison) said += comparison_sentence(*report.comparison) + "\n";
  for (const std::string& sentence : unseen_sentences(report)) {
    said += "could not see: " + sentence + "\n";
  }
  out += fmt::format("    <system-out>{}</system-out>\n    <system-err/>\n", xml_text(said));
  return out + "  </testsuite>\n</testsuites>\n";
}

}  // namespace stucktrace::render
