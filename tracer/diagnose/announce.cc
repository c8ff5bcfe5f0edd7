#include "tracer/diagnose/announce.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <regex>
#include <span>

#include "tracer/base/text.h"

namespace stucktrace::diagnose {
namespace {

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool meaningful(std::string_view line) {
  return std::ranges::any_of(line, [](char c) { return is_letter(c) || is_digit(c); });
}

// Terminal colours are not words: drops ESC [ ... final-byte (ECMA-48 control sequences).
std::string without_control_sequences(std::string_view line) {
  std::string text;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] != '\x1b') {
      text += line[i];
      continue;
    }
    if (i + 1 >= line.size() || line[i + 1] != '[') continue;
    i += 2;
    while (i < line.size() && !(line[i] >= '@' && line[i] <= '~')) ++i;
  }
  return text;
}

// Lower-case words; letters, digits and the signs that change a word's meaning stay together
// ("isn't", "90%", "3/10", "un-done"). Bytes above ASCII count as letters.
std::vector<std::string> words_of(std::string_view line) {
  std::vector<std::string> words;
  std::string word;
  const auto flush = [&] {
    while (!word.empty() &&
           (word.back() == '\'' || word.back() == '-' || word.back() == '/' || word.back() == '.'))
      word.pop_back();
    if (!word.empty()) words.push_back(std::move(word));
    word.clear();
  };
  for (const char c : line) {
    const bool joins = !word.empty() && (c == '\'' || c == '%' || c == '/' || c == '-' || c == '_');
    const bool decimal = c == '.' && !word.empty() && is_digit(word.back());
    if (is_letter(c) || is_digit(c) || joins || decimal || static_cast<unsigned char>(c) >= 0x80) {
      word += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    } else {
      flush();
    }
  }
  flush();
  return words;
}

using Words = std::span<const std::string>;

struct Phrase {
  std::array<std::string_view, 3> words;  // "" ends it
  std::size_t size() const {
    return static_cast<std::size_t>(std::ranges::find(words, "") - words.begin());
  }
};

constexpr std::array kPhrases{
    Phrase{{"done"}},
    Phrase{{"finished"}},
    Phrase{{"complete"}},
    Phrase{{"completed"}},
    Phrase{{"completed", "successfully"}},
    Phrase{{"finished", "successfully"}},
    Phrase{{"goodbye"}},
    Phrase{{"good-bye"}},
    Phrase{{"good", "bye"}},
    Phrase{{"bye"}},
    Phrase{{"success"}},
    Phrase{{"successful"}},
    Phrase{{"succeeded"}},
    Phrase{{"successfully"}},
    Phrase{{"exiting"}},
    Phrase{{"quitting"}},
    Phrase{{"terminating"}},
    Phrase{{"shutting", "down"}},
    Phrase{{"shut", "down"}},
    Phrase{{"shutdown"}},
};

constexpr std::array<std::string_view, 29> kSpoilers{
    "not",   "isn't",  "wasn't",  "aren't", "hasn't", "haven't", "cannot",  "can't",
    "won't", "didn't", "never",   "no",     "almost", "nearly",  "partly",  "partially",
    "until", "when",   "if",      "after",  "before", "once",    "waiting", "wait",
    "half",  "be",     "without", "un",     "till"};

bool number(std::string_view word) {
  return !word.empty() && std::ranges::all_of(word, [](char c) { return is_digit(c) || c == '.'; });
}

// "0%", "99.5%" but not "100%"; "3/10" but not "10/10".
bool unfinished_share(std::string_view word) {
  if (const std::size_t at = word.find('%'); at != std::string_view::npos) {
    const std::string_view share = word.substr(0, at);
    return number(share) && share != "100" && !share.starts_with("100.");
  }
  const std::size_t slash = word.find('/');
  if (slash == std::string_view::npos) return false;
  const std::string_view left = word.substr(0, slash);
  const std::string_view right = word.substr(slash + 1);
  return number(left) && number(right) && left != right;
}

bool spoiled(Words words, std::size_t phrase_begin) {
  constexpr std::size_t kNear = 4;  // "not all of them are done"
  const std::size_t from = phrase_begin > kNear ? phrase_begin - kNear : 0;
  for (std::size_t i = from; i < phrase_begin; ++i) {
    if (std::ranges::find(kSpoilers, words[i]) != kSpoilers.end()) return true;
  }
  // "3 of 10 done"
  for (std::size_t i = 0; i + 2 < words.size(); ++i) {
    if (words[i + 1] == "of" && number(words[i]) && number(words[i + 2]) &&
        words[i] != words[i + 2])
      return true;
  }
  return std::ranges::any_of(words, [](const auto& word) { return unfinished_share(word); });
}

// The words after a phrase add only how long or how much: "in 3.2s", "12 files", "now".
bool only_measures(Words rest) {
  if (rest.size() > 4) return false;
  return rest.empty() ||
         std::ranges::any_of(rest, [](const auto& word) { return is_digit(word.front()); }) ||
         rest.size() == 1;
}

bool at(Words words, std::size_t position, const Phrase& phrase) {
  const std::size_t size = phrase.size();
  if (position + size > words.size()) return false;
  for (std::size_t i = 0; i < size; ++i) {
    if (words[position + i] != phrase.words[i]) return false;
  }
  return true;
}

bool builtin_match(std::string_view raw) {
  const std::string text = without_control_sequences(raw);
  const std::vector<std::string> all = words_of(text);
  const Words words{all};
  for (std::size_t i = 0; i < words.size(); ++i) {
    // "25 passed", "== 3 passed, 1 skipped in 0.1s =="
    if (i > 0 && words[i] == "passed" && number(words[i - 1]) && !spoiled(words, i - 1)) {
      return true;
    }
    for (const Phrase& phrase : kPhrases) {
      if (!at(words, i, phrase) || spoiled(words, i)) continue;
      // A phrase ends a sentence or a line, or opens a short one ("done in 3 s", "exiting now");
      // in the middle of prose it is a word like any other.
      if (only_measures(words.subspan(i + phrase.size()))) return true;
    }
  }
  return false;
}

}  // namespace

struct AnnouncePhrases::Compiled {
  std::vector<std::regex> expressions;
};

AnnouncePhrases::AnnouncePhrases() : compiled_(std::make_shared<const Compiled>()) {}

base::Result<AnnouncePhrases> AnnouncePhrases::compile(
    const std::vector<std::string>& expressions) {
  auto compiled = std::make_shared<Compiled>();
  for (const std::string& expression : expressions) {
    try {
      compiled->expressions.emplace_back(expression, std::regex::ECMAScript | std::regex::icase);
    } catch (const std::regex_error& error) {
      return base::usage_error(
          fmt::format("\"{}\" is no regular expression: {}", expression, error.what()));
    }
  }
  AnnouncePhrases phrases;
  phrases.compiled_ = std::move(compiled);
  return phrases;
}

bool AnnouncePhrases::match(std::string_view line) const {
  line = base::trim(line.substr(0, kMaxLine));
  if (!meaningful(line)) return false;
  if (builtin_match(line)) return true;
  // libstdc++ matches by recursion, one frame per byte and repetition: a bounded line keeps that
  // within any thread's stack.
  constexpr std::size_t kMaxRegexInput = 1024;
  const std::string_view head = line.substr(0, kMaxRegexInput);
  for (const std::regex& expression : compiled_->expressions) {
    try {
      if (std::regex_search(head.begin(), head.end(), expression)) return true;
    } catch (const std::regex_error&) {
      continue;  // too complex for this line: no match
    }
  }
  return false;
}

AnnounceDetector::AnnounceDetector(AnnouncePhrases phrases) : phrases_(std::move(phrases)) {}

void AnnounceDetector::write(int fd, std::string_view bytes, base::Instant at) {
  Stream& stream = streams_[fd];
  while (!bytes.empty()) {
    const std::size_t end = bytes.find_first_of("\n\r");
    const std::string_view piece = bytes.substr(0, end);
    if (!piece.empty()) {
      stream.line += piece.substr(0, kMaxLine - std::min(kMaxLine, stream.line.size()));
      stream.at = at;
    }
    if (end == std::string_view::npos) return;
    end_line(fd, stream);
    bytes.remove_prefix(end + 1);
  }
}

void AnnounceDetector::end_line(int fd, Stream& stream) {
  if (meaningful(stream.line)) {
    if (!ended_) ended_.emplace();
    std::swap(ended_->line, stream.line);  // both keep their memory
    ended_->fd = fd;
    ended_->at = stream.at;
  }
  stream.line.clear();
}

void AnnounceDetector::lost_output(int fd) {
  streams_[fd].line.clear();
  ended_.reset();
}

void AnnounceDetector::retract() {
  ended_.reset();
  streams_.clear();
}

std::optional<model::Announcement> AnnounceDetector::announced() const {
  if (!ended_ || !phrases_.match(ended_->line)) return std::nullopt;
  return model::Announcement{std::string(base::trim(ended_->line)), ended_->fd, ended_->at, ""};
}

std::optional<model::Announcement> AnnounceDetector::current() const {
  // An unfinished line is the last line of its stream; the newest one counts.
  const std::pair<const int, Stream>* newest = nullptr;
  for (const auto& entry : streams_) {
    if (!meaningful(entry.second.line)) continue;
    if (newest == nullptr || entry.second.at > newest->second.at) newest = &entry;
  }
  if (newest == nullptr) return announced();
  if (ended_ && ended_->at > newest->second.at) {
    if (auto said = announced()) return said;
  }
  if (!phrases_.match(newest->second.line)) return std::nullopt;
  return model::Announcement{std::string(base::trim(newest->second.line)), newest->first,
                             newest->second.at, ""};
}

}  // namespace stucktrace::diagnose
