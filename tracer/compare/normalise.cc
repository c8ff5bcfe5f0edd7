#include "tracer/compare/normalise.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "tracer/base/text.h"

namespace stucktrace::compare {
namespace {

// Room for what substitutions make shorter. A rule takes the square of this for each text.
constexpr std::size_t kLongestSubject = 1000;
// States that a pattern may take, about: each count of a repetition makes copies.
constexpr std::size_t kMostStates = 2000;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_alnum(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_hex(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

std::size_t digits_at(std::string_view text, std::size_t at) {
  std::size_t end = at;
  while (end < text.size() && is_digit(text[end])) ++end;
  return end - at;
}

bool ends_word(std::string_view text, std::size_t at) {
  return at >= text.size() || !is_alnum(text[at]);
}

// Length of "-12-31", the rest of a date after its year; 0 if there is none.
std::size_t date_rest(std::string_view text, std::size_t at) {
  constexpr std::size_t kLength = 6;
  if (at + kLength > text.size() || text[at] != '-' || text[at + 3] != '-') return 0;
  return digits_at(text, at + 1) == 2 && digits_at(text, at + 4) == 2 ? kLength : 0;
}

// Length of ":59" or ":59:07.123", the rest of a time of day after its hour.
std::size_t time_rest(std::string_view text, std::size_t at) {
  std::size_t end = at;
  for (int part = 0; part < 2; ++part) {
    if (end >= text.size() || text[end] != ':' || digits_at(text, end + 1) != 2) break;
    end += 3;
  }
  if (end == at) return 0;
  if (end < text.size() && (text[end] == '.' || text[end] == ',')) {
    if (const std::size_t fraction = digits_at(text, end + 1); fraction > 0) end += 1 + fraction;
  }
  if (end < text.size() && text[end] == 'Z') ++end;  // ISO 8601: UTC
  return ends_word(text, end) ? end - at : 0;
}

// Length of " ms" or "s": a unit of time, with the blank before it.
std::size_t unit_rest(std::string_view text, std::size_t at) {
  constexpr std::array<std::string_view, 15> kUnits = {
      "ns",      "us", "\xc2\xb5s", "ms",      "s",      "sec", "secs", "second",
      "seconds", "m",  "min",       "minutes", "minute", "h",   "hours"};
  const std::size_t blank = at < text.size() && text[at] == ' ' ? 1 : 0;
  for (const std::string_view unit : kUnits) {
    if (text.substr(at + blank).starts_with(unit) && ends_word(text, at + blank + unit.size())) {
      return blank + unit.size();
    }
  }
  return 0;
}

// What stands before the number says that it is a task: "pid 7", "[tid=7", "/proc/7".
bool after_task_word(std::string_view before) {
  if (before.ends_with("/proc/") || before.ends_with("/task/")) return true;
  while (!before.empty() && std::string_view{" =:#[("}.contains(before.back())) {
    before.remove_suffix(1);
  }
  constexpr std::array<std::string_view, 5> kWords = {"pid", "tid", "process", "thread", "child"};
  return std::ranges::any_of(kWords, [&](std::string_view word) {
    if (before.size() < word.size()) return false;
    return std::ranges::equal(before.substr(before.size() - word.size()), word,
                              [](char a, char b) { return (a | 0x20) == b; });
  });
}

// Length of "/tmp/" and its like at `at`; 0 if nothing of the kind starts there.
std::size_t temporary_prefix(std::string_view text, std::size_t at) {
  constexpr std::array<std::string_view, 3> kPlaces = {"/tmp/", "/var/tmp/", "/dev/shm/"};
  for (const std::string_view place : kPlaces) {
    if (text.substr(at).starts_with(place)) return place.size();
  }
  return 0;
}

// Looks for what makes a pattern slow beyond any use; patterns come from files of others. Whether
// it is a pattern at all is for std::regex to say.
class PatternCheck {
 public:
  explicit PatternCheck(std::string_view pattern) : pattern_(pattern) {}

  // "" if there is nothing to say against it.
  std::string_view run() {
    while (at_ < pattern_.size() && trouble_.empty()) step();
    for (const Group& group : groups_) {
      if (group.states > kMostStates) trouble_ = kTooMuch;
    }
    return trouble_;
  }

 private:
  struct Group {
    std::size_t states = 0;
    bool ahead = false;
  };
  static constexpr std::string_view kTooMuch = "the pattern repeats too much";

  void step() {
    const char c = pattern_[at_];
    if (c == '\\') {
      const char next = at_ + 1 < pattern_.size() ? pattern_[at_ + 1] : '\0';
      // Matching with these takes exponential time, whatever the algorithm.
      if (next >= '1' && next <= '9') trouble_ = "a pattern has no back-references";
      at_ += 2;
      atom(1);
    } else if (c == '[') {
      bracket();
      atom(1);
    } else if (c == '(') {
      open();
    } else if (c == ')') {
      close();
    } else if (c == '{') {
      count();
    } else if (c == '*' || c == '+') {
      ++at_;
      without_end();
    } else {
      ++at_;
      if (c != '?' && c != '|') atom(1);
    }
  }

  void atom(std::size_t states) {
    last_ = states;
    groups_.back().states += states;
    if (groups_.back().states > kMostStates) trouble_ = kTooMuch;
  }

  void bracket() {
    for (++at_; at_ < pattern_.size() && pattern_[at_] != ']'; ++at_) {
      const char next = at_ + 1 < pattern_.size() ? pattern_[at_ + 1] : '\0';
      if (pattern_[at_] == '\\') {
        ++at_;
      } else if (pattern_[at_] == '[' && (next == ':' || next == '.' || next == '=')) {
        const std::size_t end = pattern_.find(std::string{next} + ']', at_ + 2);
        if (end != std::string_view::npos) at_ = end + 1;
      }
    }
    ++at_;
  }

  void open() {
    const std::string_view rest = pattern_.substr(at_);
    const bool ahead = rest.starts_with("(?=") || rest.starts_with("(?!");
    // At each place of its text one looks over all the rest: nested, each level multiplies.
    if (ahead && in_ahead()) trouble_ = "a pattern does not look ahead while it looks ahead";
    at_ += ahead || rest.starts_with("(?:") ? 3 : 1;
    groups_.push_back({0, ahead});
  }

  void close() {
    ++at_;
    if (groups_.size() == 1) return;
    const std::size_t states = groups_.back().states;
    groups_.pop_back();
    atom(states + 2);
  }

  void count() {
    std::size_t most = number(++at_);
    if (at_ < pattern_.size() && pattern_[at_] == ',') {
      ++at_;
      if (at_ < pattern_.size() && pattern_[at_] == '}') without_end();
      most = std::max(most + 1, number(at_));
    }
    if (most > kMostStates || last_ * most > kMostStates) {
      trouble_ = kTooMuch;
    } else if (most > 1) {
      groups_.back().states += last_ * (most - 1);
      last_ *= most;
    }
    if (at_ < pattern_.size() && pattern_[at_] == '}') ++at_;
  }

  std::size_t number(std::size_t& at) const {
    std::size_t value = 0;
    for (; at < pattern_.size() && is_digit(pattern_[at]); ++at) {
      value = std::min(value * 10 + static_cast<std::size_t>(pattern_[at] - '0'), kMostStates + 1);
    }
    return value;
  }

  void without_end() {
    if (in_ahead()) trouble_ = "a pattern does not look ahead without end";
  }
  bool in_ahead() const { return std::ranges::any_of(groups_, &Group::ahead); }

  std::string_view pattern_;
  std::size_t at_ = 0;
  std::size_t last_ = 0;
  std::vector<Group> groups_{Group{}};
  std::string_view trouble_;
};

// Never within a character.
void cut(std::string& text) {
  if (text.size() <= kLongestSubject) return;
  text.resize(kLongestSubject);
  const auto continues = [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) == 0x80U; };
  while (!text.empty() && continues(text.back())) text.pop_back();
  if (!text.empty() && static_cast<unsigned char>(text.back()) >= 0xc0U) text.pop_back();
}

}  // namespace

base::Result<Substitution> substitution(const std::string& pattern, std::string replacement) {
  if (const std::string_view trouble = PatternCheck{pattern}.run(); !trouble.empty()) {
    return base::usage_error(std::string{trouble});
  }
  try {
    // Backtracking, which libstdc++ does otherwise, takes exponential time and recurses with the
    // length of the text.
    return Substitution{std::regex{pattern, std::regex::ECMAScript | std::regex::optimize |
                                                std::regex_constants::__polynomial},
                        std::move(replacement)};
  } catch (const std::regex_error&) {
    return base::usage_error(
        fmt::format("\"{}\" is not a regular expression", base::escape_text(pattern)));
  }
}

std::size_t Normaliser::number(std::string_view text, std::size_t at, std::string& out) const {
  const std::size_t whole = digits_at(text, at);
  const auto take = [&](std::string_view as, std::size_t length) {
    out += as;
    return length;
  };
  if (whole == 4) {
    if (const std::size_t date = date_rest(text, at + whole); date > 0) {
      const std::size_t end = at + whole + date;
      constexpr std::size_t kHour = 3;  // "T09"
      const bool hour = end < text.size() && text[end] == 'T' && digits_at(text, end + 1) == 2;
      const std::size_t time = hour ? time_rest(text, end + kHour) : 0;
      if (time > 0) return take("<date> <time>", whole + date + kHour + time);
      return take("<date>", whole + date);
    }
  }
  if (whole <= 2) {
    if (const std::size_t time = time_rest(text, at + whole); time > 0) {
      return take("<time>", whole + time);
    }
  }
  std::size_t length = whole;
  if (at + whole < text.size() && text[at + whole] == '.') {
    if (const std::size_t fraction = digits_at(text, at + whole + 1); fraction > 0) {
      length += 1 + fraction;
    }
  }
  if (const std::size_t unit = unit_rest(text, at + length); unit > 0) {
    return take("<duration>", length + unit);
  }
  if (length == whole && ends_word(text, at + whole)) {
    // A short number is a task only where the words say so: "7 items" stays.
    constexpr std::size_t kSureTask = 4;
    std::int32_t value = 0;
    const auto parsed = std::from_chars(text.data() + at, text.data() + at + whole, value);
    const bool known = whole >= kSureTask && parsed.ec == std::errc{} && pids_.contains(value);
    if (known || after_task_word(text.substr(0, at))) return take("<pid>", whole);
    // Nobody counts that far: a timestamp, an id of an object, a random name.
    constexpr std::size_t kNoCount = 10;
    if (whole >= kNoCount) return take("<number>", whole);
  }
  return take(text.substr(at, length), length);
}

std::string Normaliser::built_in(std::string_view text) const {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const char c = text[at];
    const bool starts_word = at == 0 || !is_alnum(text[at - 1]);
    if (starts_word && c == '0' && text.substr(at).starts_with("0x")) {
      std::size_t end = at + 2;
      while (end < text.size() && is_hex(text[end])) ++end;
      constexpr std::size_t kShortest = 4;
      if (end - at - 2 >= kShortest) {
        out += "<address>";
      } else {
        out += text.substr(at, end - at);
      }
      at = end;
    } else if (starts_word && is_digit(c)) {
      at += number(text, at, out);
    } else if (const std::size_t place = starts_word && c == '/' ? temporary_prefix(text, at) : 0;
               place > 0) {
      out += text.substr(at, place);
      const std::size_t end =
          std::min(text.find_first_of("/ \t\n\"':;,()[]{}<>|&", at + place), text.size());
      if (end > at + place) out += "<temp>";
      at = end;
    } else {
      out += c;
      ++at;
    }
  }
  return out;
}

std::string Normaliser::operator()(std::string_view raw) const {
  std::string text = base::escape_text(raw.substr(0, kLongestSubject));
  for (const Substitution& rule : substitutions_) {
    cut(text);
    try {
      text = std::regex_replace(text, rule.pattern, rule.replacement);
    } catch (const std::regex_error&) {
      // Too complex for this text; the other rules still hold.
      continue;
    }
  }
  cut(text);
  text = built_in(text);
  if (text.size() > kLongest) text = base::escape_text(text, kLongest);
  return text;
}

}  // namespace stucktrace::compare
