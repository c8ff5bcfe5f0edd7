#include "tracer/compare/scanner.h"

#include <charconv>

namespace stucktrace::compare {
namespace {

std::optional<std::uint64_t> as_number(std::string_view text) {
  std::uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, value);
  if (text.empty() || parsed.ec != std::errc{} || parsed.ptr != end) return std::nullopt;
  return value;
}

}  // namespace

void Scanner::skip_blanks() {
  while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
}

std::string_view Scanner::peek() const {
  std::size_t end = at_;
  while (end < text_.size() && text_[end] != ' ' && text_[end] != '\t') ++end;
  return text_.substr(at_, end - at_);
}

std::string_view Scanner::word() {
  const std::string_view found = peek();
  at_ += found.size();
  skip_blanks();
  return found;
}

bool Scanner::take(std::string_view word) {
  if (peek() != word) return false;
  this->word();
  return true;
}

std::string_view Scanner::rest() {
  const std::string_view found = text_.substr(at_);
  at_ = text_.size();
  return found;
}

std::optional<std::uint64_t> Scanner::number() {
  const auto value = as_number(peek());
  if (value) word();
  return value;
}

std::optional<std::uint64_t> process_number(std::string_view word) {
  // Longer ones are no numbers of anything, and counting on from them would wrap.
  if (!word.starts_with('P') || word.size() > 1 + kMostDigits) return std::nullopt;
  const auto number = as_number(word.substr(1));
  return number && *number > 0 && word[1] != '0' ? number : std::nullopt;
}

}  // namespace stucktrace::compare
