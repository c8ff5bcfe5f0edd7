#include "tracer/compare/baseline.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "tracer/base/text.h"
#include "tracer/compare/deed_lines.h"

namespace stucktrace::compare {
namespace {

constexpr std::string_view kTitle = "# stucktrace baseline ";
constexpr std::string_view kVersion = "1";
constexpr std::string_view kIndent = "  ";
constexpr std::string_view kAssert = "assert";
constexpr std::string_view kFindings = "findings";
constexpr std::string_view kNotes =
    "# What a run did, without clocks, pids, addresses and names made up for one run. Review it "
    "as\n"
    "# code; write it anew with \"stucktrace compare --update THIS-FILE RECORDING\" or with\n"
    "# \"stucktrace run --baseline THIS-FILE --update -- COMMAND\". Amounts of bytes hold by order "
    "of\n"
    "# magnitude. Rules: normalise s/PATTERN/TEXT/, before those built in.\n";

using Section = CanonicalTrace::Section;

bool is_control(char c) {
  return static_cast<unsigned char>(c) < ' ' || c == '\x7f';
}

// So that no line is two, or none.
std::string printable(std::string_view line) {
  std::string text;
  for (const char c : line) {
    if (is_control(c)) {
      text += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      text += c;
    }
  }
  return text;
}

Parsed<Section> process_heading(Scanner& scanner) {
  Section section;
  section.role = scanner.word();
  const std::size_t column = scanner.column();
  section.title = scanner.rest();
  while (section.title.ends_with(' ')) section.title.pop_back();
  constexpr std::string_view kChild = CanonicalTrace::kChild;
  if (const std::size_t at = section.title.rfind(kChild); at != std::string::npos) {
    section.parent = section.title.substr(at + kChild.size());
    section.title.erase(at);
    while (section.title.ends_with(' ')) section.title.pop_back();
    if (section.parent == CanonicalTrace::kNobody) {
      section.parent.clear();
    } else if (!process_number(section.parent)) {
      return Misread{TextError{column + at + kChild.size(), "expected a process such as P1"}};
    }
  }
  if (section.title.empty()) return Misread{TextError{column, "expected the process's program"}};
  return section;
}

bool is_thread(std::string_view word) {
  const std::size_t dot = word.find(".T");
  if (!process_number(word.substr(0, dot))) return false;
  if (dot == std::string_view::npos) return true;
  const std::string_view number = word.substr(dot + 2);
  return !number.empty() && number.size() <= kMostDigits &&
         std::ranges::all_of(number, [](char c) { return c >= '0' && c <= '9'; });
}

// "pipe#1"
bool is_numbered(std::string_view word) {
  const std::size_t mark = word.find('#');
  if (mark == 0 || mark == std::string_view::npos || mark + 1 == word.size()) return false;
  if (word.size() - mark - 1 > kMostDigits) return false;
  const auto letter = [](char c) { return c >= 'a' && c <= 'z'; };
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  return std::ranges::all_of(word.substr(0, mark), letter) &&
         std::ranges::all_of(word.substr(mark + 1), digit);
}

Parsed<Section> heading(std::string_view line) {
  Scanner scanner{line};
  Section section;
  const std::string_view first = scanner.peek();
  if (line.ends_with(" calls") && is_thread(first) && line.size() == first.size() + 6) {
    section.role = line;
    return section;
  }
  if (process_number(first)) return process_heading(scanner);
  if (first != kFindings && !is_numbered(first)) {
    return scanner.wrong("expected a section: assert, P1 PROGRAM, P1 calls, pipe#1 or findings");
  }
  section.role = scanner.word();
  if (!scanner.at_end()) return scanner.wrong("nothing follows the name of a section");
  return section;
}

class Reader {
 public:
  base::Result<Baseline> read(std::string_view text) {
    for (std::string_view line : base::split(text, '\n')) {
      ++number_;
      if (line.ends_with('\r')) line.remove_suffix(1);
      const auto taken = number_ == 1 ? first(line) : next(line);
      if (!taken) {
        return base::malformed(fmt::format("line {}, column {}: {}", number_, taken.error().column,
                                           taken.error().what));
      }
    }
    if (!level_) return base::malformed("line 2, column 1: expected \"level\" before any section");
    return std::move(baseline_);
  }

 private:
  enum class In { kHeader, kAssertions, kSection };

  static Parsed<void> first(std::string_view line) {
    if (!line.starts_with(kTitle)) {
      return Misread{TextError{1, fmt::format("expected \"{}{}\"", kTitle, kVersion)}};
    }
    const std::string_view version = line.substr(kTitle.size());
    if (version == kVersion) return {};
    return Misread{TextError{
        kTitle.size() + 1,
        fmt::format("version {} of the format is not known; write the baseline anew with --update",
                    base::escape_text(version, 20))}};
  }

  Parsed<void> next(std::string_view line) {
    const std::size_t start = line.find_first_not_of(" \t");
    if (start == std::string_view::npos || line[start] == '#') return {};
    if (in_ == In::kHeader && start == 0 && header(line)) return header_error_;
    for (std::size_t at = start; at < line.size(); ++at) {
      if (is_control(line[at])) {
        return Misread{TextError{at + 1, "there are no control characters in a baseline"}};
      }
    }
    if (start > 0) return indented(line, start);
    if (line == kAssert) {
      in_ = In::kAssertions;
      return {};
    }
    in_ = In::kSection;
    auto section = heading(line);
    if (!section) return Misread{section.error()};
    if (!roles_.insert(section->role).second) {
      return Misread{TextError{1, fmt::format("{} is there twice", section->role)}};
    }
    section->at = number_;
    baseline_.trace.sections.push_back(std::move(*section));
    return {};
  }

  // True if the line is one of the header, for good or ill.
  bool header(std::string_view line) {
    Scanner scanner{line};
    header_error_ = {};
    if (scanner.take("level")) {
      const auto level = level_of(scanner.peek());
      if (!level) {
        header_error_ = scanner.wrong("expected structure, effects or calls");
        return true;
      }
      baseline_.trace.level = *level;
      level_ = true;
      scanner.word();
    } else if (scanner.take("seen")) {
      const auto seen = seen_of(scanner.peek());
      if (!seen) {
        header_error_ = scanner.wrong("expected all or filtered");
        return true;
      }
      baseline_.trace.seen = *seen;
      scanner.word();
    } else if (scanner.take("normalise")) {
      const std::size_t column = scanner.column();
      auto rule = parse_rule(scanner.rest());
      if (rule) {
        baseline_.rules.push_back(std::move(*rule));
      } else {
        header_error_ = Misread{TextError{column + rule.error().column - 1, rule.error().what}};
      }
      return true;
    } else {
      return false;
    }
    if (!scanner.at_end()) header_error_ = scanner.wrong("nothing follows here");
    return true;
  }

  Parsed<void> indented(std::string_view line, std::size_t start) {
    if (in_ == In::kHeader) {
      return Misread{TextError{start + 1, "there is no section before this line"}};
    }
    if (in_ == In::kAssertions) {
      auto assertion = parse_assertion(line);
      if (!assertion) return Misread{assertion.error()};
      baseline_.assertions.push_back(std::move(*assertion));
      baseline_.assertion_lines.push_back(number_);
      return {};
    }
    Section& section = baseline_.trace.sections.back();
    line.remove_prefix(start);
    section.lines.push_back(section.role == kFindings ? rotated_cycle(line) : std::string{line});
    return {};
  }

  Baseline baseline_;
  In in_ = In::kHeader;
  bool level_ = false;
  Parsed<void> header_error_;
  std::set<std::string> roles_;
  std::size_t number_ = 0;
};

}  // namespace

bool is_baseline(std::string_view start) {
  return start.starts_with(kTitle);
}

std::string to_text(const Baseline& baseline) {
  std::string text = fmt::format("{}{}\n{}level {}\nseen {}\n", kTitle, kVersion, kNotes,
                                 to_string(baseline.trace.level), to_string(baseline.trace.seen));
  for (const Rule& rule : baseline.rules) text += fmt::format("normalise {}\n", rule.text);
  if (!baseline.assertions.empty()) text += fmt::format("\n{}\n", kAssert);
  for (const Assertion& assertion : baseline.assertions) {
    text += fmt::format("{}{}\n", kIndent, assertion.text);
  }
  for (const Section& section : baseline.trace.sections) {
    text += fmt::format("\n{}\n", printable(section.heading()));
    for (const std::string& line : section.lines) {
      text += fmt::format("{}{}\n", kIndent, printable(line));
    }
  }
  return text;
}

base::Result<Baseline> parse_baseline(std::string_view text) {
  return Reader{}.read(text);
}

}  // namespace stucktrace::compare
