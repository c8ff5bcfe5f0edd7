#include "tracer/render/text_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tracer/base/text.h"
#include "tracer/render/calm.h"
#include "tracer/render/cut_short.h"
#include "tracer/render/escape.h"
#include "tracer/render/finding_scope.h"
#include "tracer/render/finding_text.h"
#include "tracer/render/interpreter_text.h"
#include "tracer/render/page.h"
#include "tracer/render/sight.h"
#include "tracer/render/stack_text.h"
#include "tracer/render/told_finding.h"

namespace stucktrace::render {
namespace {

using model::Report;

// A screen, less what is said after the findings; a survey of the machine may take three.
constexpr std::size_t kLinesOfFindings = 52;
constexpr std::size_t kLinesOfSurvey = 150;
constexpr std::size_t kHeadings = 10;
constexpr std::size_t kUnseenShown = 5;

// One finding and its place among those told.
struct Place {
  std::size_t number = 0;  // from 1
  std::size_t of = 0;
  bool story = true;  // may be told in full; else its verdict must do
};

Style style_of(const Told& told) {
  return told.resolved() ? Style::kWarn : Style::kAlarm;
}

void write_heading(const Told& told, const Place& place, Page& page) {
  if (place.number == 1) {  // the first line of the report is the worst verdict, bare
    page.paragraph(verdict_text(told), "", "", style_of(told));
    if (place.of > 1) {
      page.line(fmt::format("(1 of {} findings; {} more below)", place.of, place.of - 1));
    }
    return;
  }
  const std::string number = fmt::format("{}. ", place.number);
  page.paragraph(verdict_text(told), number, std::string(number.size(), ' '), style_of(told));
}

// Findings that found no room, by rule.
void write_rest(const std::vector<Told>& rest, Page& page) {
  std::map<std::string, std::size_t> rules;
  for (const Told& told : rest) ++rules[terminal_text(told.finding->rule)];
  std::string text;
  for (const auto& [rule, count] : rules) {
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, rule);
  }
  page.line("");
  page.paragraph(fmt::format("… and {} more findings: {} (-v tells all)", rest.size(), text), "",
                 "  ");
}

// The worst in full, the others as far as there is room; after that a line each, then a number.
void write_findings(const Report& report, Page& page) {
  const auto trees = told_trees(report);
  const bool survey = report.look && report.look->whole_machine;
  const std::size_t room = survey ? kLinesOfSurvey : kLinesOfFindings;
  const bool everything = page.options().verbose;
  Place place;
  for (const auto& tree : trees) place.of += tree.size();
  std::size_t headings = 0;
  std::vector<Told> rest;
  for (const auto& tree : trees) {
    for (const Told& told : tree) {
      ++place.number;
      // Of the whole machine each tree has one story.
      place.story = everything || !survey || &told == &tree.front();
      Page full(page.options());
      write_heading(told, place, full);
      write_finding(report, told, full);
      const bool fits = everything || page.lines() + full.lines() <= room;
      if (place.number > 1 && rest.empty() && (fits || headings < kHeadings)) page.line("");
      if (place.number == 1 || (place.story && fits && rest.empty())) {
        page.append(full);
      } else if (rest.empty() && headings < kHeadings) {
        ++headings;
        write_heading(told, place, page);
      } else {
        rest.push_back(told);
      }
    }
  }
  if (!rest.empty()) write_rest(rest, page);
}

void write_unseen(const Report& report, Page& page) {
  const std::vector<std::string> all = unseen_sentences(report);
  if (all.empty() && report.ways_in.empty()) return;
  page.line("");
  page.line("Could not see");
  const std::size_t most = page.options().verbose ? all.size() : std::min(all.size(), kUnseenShown);
  for (std::size_t i = 0; i < most; ++i) {
    page.paragraph(terminal_text(all[i], kSentenceLimit), "  - ", "    ");
  }
  if (all.size() > most) page.line(fmt::format("  - and {} more (-v)", all.size() - most));
  for (const std::string& way : report.ways_in) {
    page.paragraph(terminal_text(way, kSentenceLimit), "  → ", "    ");
  }
}

// What was looked at, for a search of the whole machine.
void write_survey(const Report& report, Page& page) {
  if (!report.look || !report.look->whole_machine) return;
  const model::Look& look = *report.look;
  const std::size_t trees = report.diagnosis.findings.empty() ? 0 : told_trees(report).size();
  page.line("");
  const auto count = [](std::size_t number, std::string_view one, std::string_view more) {
    return fmt::format("{} {}", number, number == 1 ? one : more);
  };
  page.paragraph(fmt::format("Looked at {}, {} in {}: {} stuck, {}.",
                             count(look.processes, "process", "processes"),
                             count(look.threads, "thread", "threads"),
                             base::human_duration(look.took), count(trees, "tree is", "trees are"),
                             count(report.diagnosis.findings.size(), "finding", "findings")),
                 "", "");
}

}  // namespace

std::string text_report(const Report& report, const TextOptions& options) {
  Page page(options);
  if (report.ended) {
    page.paragraph(cut_short_sentence(*report.ended), "", "", Style::kWarn);
    if (const std::string whom = ended_processes_sentence(*report.ended); !whom.empty()) {
      page.paragraph(whom, "", "");
    }
    page.line("");
  }
  if (told_findings(report).empty()) {
    write_calm(report, page);
  } else {
    write_findings(report, page);
  }
  if (options.stacks && report.snapshot) {
    write_interpreters(*report.snapshot, page);
    write_stacks(*report.snapshot, page);
  }
  write_unseen(report, page);
  write_survey(report, page);
  return page.take();
}

}  // namespace stucktrace::render
