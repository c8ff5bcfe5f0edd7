#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

namespace stucktrace::compare {

// What is wrong with a line of a baseline or an option, and where.
struct TextError {
  std::size_t column = 1;  // from 1
  std::string what;
};
template <class T>
using Parsed = std::expected<T, TextError>;
using Misread = std::unexpected<TextError>;

// Goes through one line word by word.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) { skip_blanks(); }

  bool at_end() const { return at_ == text_.size(); }
  std::size_t column() const { return at_ + 1; }
  // Up to the next blank, without taking it.
  std::string_view peek() const;
  // As peek(), taken; "" at the end.
  std::string_view word();
  // Takes the word if it is the next one.
  bool take(std::string_view word);
  // All that is left.
  std::string_view rest();
  std::optional<std::uint64_t> number();
  // An error at the present place.
  Misread wrong(std::string what) const { return Misread{TextError{column(), std::move(what)}}; }

 private:
  void skip_blanks();
  std::string_view text_;
  std::size_t at_ = 0;
};

// Of the numbers in names.
inline constexpr std::size_t kMostDigits = 9;

// "P12": its number.
std::optional<std::uint64_t> process_number(std::string_view word);

}  // namespace stucktrace::compare
