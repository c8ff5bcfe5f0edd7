#include "tracer/model/comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "tracer/base/text.h"

namespace stucktrace::model {
namespace {

void append_lines(std::string& text, std::string_view mark, const std::vector<std::string>& lines) {
  constexpr std::size_t kMostShown = 20;
  for (std::size_t i = 0; i < lines.size() && i < kMostShown; ++i) {
    text += fmt::format("  {} {}\n", mark, lines[i]);
  }
  if (lines.size() > kMostShown) {
    text += fmt::format("  {} ... {} more lines\n", mark, lines.size() - kMostShown);
  }
}

// "stucktrace COMMAND ... RECORDING".
std::string replayed(const Comparison& comparison, std::string_view command) {
  if (comparison.recording.empty()) {
    return fmt::format("run it with -o FILE, then: stucktrace {} FILE", command);
  }
  return fmt::format("stucktrace {} {}", command, base::escape_text(comparison.recording));
}

}  // namespace

std::size_t Comparison::failed_assertions() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(assertions, [](const AssertionCheck& each) { return !each.holds; }));
}

std::string who(const Difference& difference) {
  return difference.title.empty() ? difference.role
                                  : fmt::format("{} ({})", difference.role, difference.title);
}

std::string headline(const Difference& difference) {
  if (difference.section_missing) return who(difference) + ": expected, but not in this run";
  if (difference.section_added) return who(difference) + ": not expected";
  const char* what = difference.got.empty()        ? "lacks something"
                     : difference.expected.empty() ? "has something more"
                                                   : "differs";
  std::string text = fmt::format("{} {}", who(difference), what);
  if (!difference.before.empty()) text += fmt::format(" after \"{}\"", difference.before.back());
  if (difference.line > 0) text += fmt::format(" (line {})", difference.line);
  return text;
}

std::string to_text(const Difference& difference) {
  std::string text = headline(difference) + "\n";
  append_lines(text, " ", difference.before);
  append_lines(text, "-", difference.expected);
  append_lines(text, "+", difference.got);
  append_lines(text, " ", difference.after);
  return text;
}

std::string to_text(const AssertionCheck& assertion, const Comparison& comparison) {
  const std::string where =
      assertion.line > 0
          ? fmt::format(" ({}, line {})", base::escape_text(comparison.baseline), assertion.line)
          : std::string{};
  std::string text = fmt::format("does not hold: {}{}\n", assertion.text, where);
  text += fmt::format("  seen    {}\n", assertion.seen);
  if (assertion.place) {
    text += fmt::format("  at      {:.3f} s, {}: {}\n",
                        std::chrono::duration<double>(assertion.place->at).count(),
                        assertion.place->role, assertion.place->call);
  }
  return text + fmt::format("  replay  {}\n", replay(assertion, comparison));
}

std::string to_text(const Comparison& comparison) {
  std::string text;
  const auto add = [&text](const std::string& more) { text += (text.empty() ? "" : "\n") + more; };
  for (const Difference& difference : comparison.differences) add(to_text(difference));
  for (const AssertionCheck& assertion : comparison.assertions) {
    if (!assertion.holds) add(to_text(assertion, comparison));
  }
  return text;
}

std::string replay(const Difference&, const Comparison& comparison) {
  return replayed(comparison, fmt::format("compare {}", base::escape_text(comparison.baseline)));
}

std::string replay(const AssertionCheck& assertion, const Comparison& comparison) {
  if (assertion.show.empty()) return replayed(comparison, "replay");
  const bool plain = assertion.show.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_,%") ==
                     std::string::npos;
  return replayed(comparison, plain ? fmt::format("replay -e trace={}", assertion.show)
                                    : fmt::format("replay -e 'trace={}'", assertion.show));
}

}  // namespace stucktrace::model
