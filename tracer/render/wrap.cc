#include "tracer/render/wrap.h"

#include <vector>

#include "tracer/render/escape.h"

namespace stucktrace::render {
namespace {

bool is_digit(char byte) {
  return byte >= '0' && byte <= '9';
}

// Parts between blanks; "200 009 bytes" and "4.9 s" stay together.
std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  std::size_t begin = 0;
  for (std::size_t at = 0; at <= text.size(); ++at) {
    if (at < text.size()) {
      if (text[at] != ' ') continue;
      const bool after_digit = at > begin && is_digit(text[at - 1]);
      const std::string_view next = text.substr(at + 1, text.find(' ', at + 1) - at - 1);
      const bool unit = next.starts_with("s") && columns(next) <= 2;
      if (after_digit && !next.empty() &&
          (is_digit(next[0]) || unit || next.starts_with("ms") || next.starts_with("bytes"))) {
        continue;
      }
    }
    words.push_back(text.substr(begin, at - begin));
    begin = at + 1;
  }
  return words;
}

}  // namespace

std::string wrapped(std::string_view safe, std::string_view first, std::string_view rest,
                    std::size_t width) {
  std::string out(first);
  std::size_t column = columns(first);
  bool begun = false;
  for (const std::string_view word : words_of(safe)) {
    const std::size_t size = columns(word);
    if (begun && width != 0 && column + 1 + size > width) {
      out += '\n';
      out += rest;
      column = columns(rest);
      begun = false;
    }
    if (begun) {
      out += ' ';
      ++column;
    }
    out += word;
    column += size;
    begun = true;
  }
  return out + '\n';
}

}  // namespace stucktrace::render
