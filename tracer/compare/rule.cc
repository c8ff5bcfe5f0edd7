#include "tracer/compare/rule.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace stucktrace::compare {
namespace {

constexpr std::size_t kLongestRule = 1'000;

Misread wrong(std::size_t at, std::string what) {
  return Misread{TextError{at + 1, std::move(what)}};
}

// Up to the next `mark`; "\mark" is the mark itself. npos if there is none.
std::size_t part(std::string_view text, std::size_t at, char mark, std::string& out) {
  for (; at < text.size(); ++at) {
    if (text[at] == mark) return at;
    if (text[at] == '\\' && at + 1 < text.size()) {
      ++at;
      if (text[at] != mark) out += '\\';
    }
    out += text[at];
  }
  return std::string_view::npos;
}

struct Replacement {
  std::string text;
  std::size_t group = 0;  // the highest that is named
};

// From sed's way of naming what was matched to that of std::regex_replace.
Replacement replacement_of(std::string_view sed) {
  Replacement result;
  std::string& out = result.text;
  for (std::size_t at = 0; at < sed.size(); ++at) {
    const char c = sed[at];
    if (c == '$') {
      out += "$$";
    } else if (c == '&') {
      out += "$&";
    } else if (c == '\\' && at + 1 < sed.size()) {
      const char next = sed[++at];
      if (next >= '1' && next <= '9') {
        // Of "$1" and a digit that follows, two digits would be read.
        out += "$0";
        result.group = std::max(result.group, static_cast<std::size_t>(next - '0'));
      }
      out += next;
    } else {
      out += c;
    }
  }
  return result;
}

}  // namespace

Parsed<Rule> parse_rule(std::string_view text) {
  if (text.size() > kLongestRule) return wrong(kLongestRule, "the rule is too long");
  const bool printable = std::ranges::all_of(
      text, [](char c) { return static_cast<unsigned char>(c) >= ' ' && c != '\x7f'; });
  if (!printable) return wrong(0, "a rule has no control characters");
  if (!text.starts_with('s') || text.size() < 2) return wrong(0, "a rule reads s/PATTERN/TEXT/");
  const char mark = text[1];
  if (mark == '\\' || mark == ' ' || (mark >= 'a' && mark <= 'z') || (mark >= 'A' && mark <= 'Z') ||
      (mark >= '0' && mark <= '9')) {
    return wrong(1, "a rule reads s/PATTERN/TEXT/");
  }
  std::string pattern;
  const std::size_t middle = part(text, 2, mark, pattern);
  if (middle == std::string_view::npos) {
    return wrong(text.size(), std::string{"no second "} + mark + " in the rule");
  }
  if (pattern.empty()) return wrong(2, "the pattern is empty");
  std::string with;
  const std::size_t end = part(text, middle + 1, mark, with);
  if (end == std::string_view::npos) {
    return wrong(text.size(), std::string{"no third "} + mark + " in the rule");
  }
  if (const auto flags = text.substr(end + 1); !flags.empty() && flags != "g") {
    return wrong(end + 1, "nothing follows a rule");
  }
  Replacement replacement = replacement_of(with);
  auto made = substitution(pattern, std::move(replacement.text));
  if (!made) return wrong(2, made.error().operation);
  if (replacement.group > made->pattern.mark_count()) {
    return wrong(middle + 1, fmt::format("the pattern has no group {}", replacement.group));
  }
  return Rule{std::string{text}, std::move(*made)};
}

}  // namespace stucktrace::compare
