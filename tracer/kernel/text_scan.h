#pragma once

#include <charconv>
#include <optional>
#include <string_view>

namespace stucktrace::kernel {

// Small readers over hostile /proc text; all bounded by the view they are given.

// Cuts and returns the text up to `separator` (or all of it) from the front of `text`.
inline std::string_view take_until(std::string_view& text, char separator) {
  const std::size_t end = text.find(separator);
  const std::string_view head = text.substr(0, end);
  text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
  return head;
}

inline std::string_view take_line(std::string_view& text) {
  return take_until(text, '\n');
}

// Cuts and returns the next word, blanks and tabs around it skipped; "" at the end.
inline std::string_view take_word(std::string_view& text) {
  const std::size_t start = text.find_first_not_of(" \t");
  if (start == std::string_view::npos) {
    text = {};
    return {};
  }
  text.remove_prefix(start);
  const std::size_t end = text.find_first_of(" \t\n");
  const std::string_view word = text.substr(0, end);
  text = end == std::string_view::npos ? std::string_view{} : text.substr(end);
  return word;
}

// The whole word as a number, or nullopt. Base 16 accepts a leading 0x.
template <class T>
std::optional<T> to_number(std::string_view word, int base = 10) {
  if (base == 16 && word.starts_with("0x")) word.remove_prefix(2);
  T value{};
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value, base);
  if (error != std::errc{} || end != word.data() + word.size() || word.empty()) return std::nullopt;
  return value;
}

// Reads the next word as a number into `out`; false leaves `out` as it was.
template <class T>
bool take_number(std::string_view& text, T& out, int base = 10) {
  const auto value = to_number<T>(take_word(text), base);
  if (!value) return false;
  out = *value;
  return true;
}

}  // namespace stucktrace::kernel
