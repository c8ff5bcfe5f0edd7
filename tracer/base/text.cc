#include "tracer/base/text.h"

#include <fmt/format.h>

namespace stucktrace::base {
namespace {

// Length of the valid, printable UTF-8 sequence at the start of `text`; 0 if there is none. C1
// controls (U+0080..U+009F) are not printable: terminals act on them.
std::size_t printable_sequence(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return first >= 0x20 && first != 0x7f ? 1 : 0;
  std::size_t length = 0;
  std::uint32_t code = 0;
  if ((first & 0xe0) == 0xc0) {
    length = 2;
    code = first & 0x1fU;
  } else if ((first & 0xf0) == 0xe0) {
    length = 3;
    code = first & 0x0fU;
  } else if ((first & 0xf8) == 0xf0) {
    length = 4;
    code = first & 0x07U;
  } else {
    return 0;
  }
  if (text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    code = (code << 6) | (byte(i) & 0x3fU);
  }
  constexpr std::uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  if (code < kSmallest[length] || code > 0x10ffff) return 0;
  if (code < 0xa0 || (code >= 0xd800 && code <= 0xdfff)) return 0;
  // Bidirectional controls reorder what a person reads.
  if ((code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069)) return 0;
  return length;
}

}  // namespace

std::string escape_text(std::string_view raw, std::size_t limit) {
  std::string out;
  while (!raw.empty()) {
    if (out.size() >= limit) {
      out += "…";
      break;
    }
    if (const std::size_t length = printable_sequence(raw); length > 0) {
      out += raw.substr(0, length);
      raw.remove_prefix(length);
      continue;
    }
    switch (raw.front()) {
      case '\n':
        out += "\\n";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\r':
        out += "\\r";
        break;
      default:
        out += fmt::format("\\x{:02x}", static_cast<unsigned char>(raw.front()));
    }
    raw.remove_prefix(1);
  }
  return out;
}

std::string human_duration(std::chrono::nanoseconds duration) {
  using namespace std::chrono_literals;
  const auto trimmed = [](double value, const char* unit) {
    if (value >= 9.95) return fmt::format("{:.0f} {}", value, unit);
    std::string text = fmt::format("{:.1f}", value);
    if (text.ends_with(".0")) text.resize(text.size() - 2);
    return fmt::format("{} {}", text, unit);
  };
  if (duration < 0ns) return "-" + human_duration(-duration);
  const double ns = static_cast<double>(duration.count());
  if (duration < 1us) return fmt::format("{} ns", duration.count());
  if (duration < 1ms) return trimmed(ns / 1e3, "µs");
  if (duration < 1s) return trimmed(ns / 1e6, "ms");
  if (duration < 10s) return trimmed(ns / 1e9, "s");
  const auto seconds = (duration.count() + 500'000'000) / 1'000'000'000;
  if (seconds < 120) return fmt::format("{} s", seconds);
  if (seconds < 7200) {
    return seconds % 60 == 0 ? fmt::format("{} min", seconds / 60)
                             : fmt::format("{} min {} s", seconds / 60, seconds % 60);
  }
  return fmt::format("{} h {} min", seconds / 3600, seconds % 3600 / 60);
}

std::string human_bytes(std::uint64_t bytes) {
  std::string digits = fmt::format("{}", bytes);
  for (std::size_t at = digits.size(); at > 3;) {
    at -= 3;
    digits.insert(at, " ");
  }
  return digits + (bytes == 1 ? " byte" : " bytes");
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

}  // namespace stucktrace::base
