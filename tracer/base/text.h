#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace stucktrace::base {

// Makes hostile text safe for a terminal or a log: control bytes, escape sequences and invalid
// UTF-8 become \n, \t, \xNN; everything printable stays. Never longer than `limit` characters of
// output plus an ellipsis when cut.
std::string escape_text(std::string_view raw, std::size_t limit = static_cast<std::size_t>(-1));

// "4.9 s", "50 ms", "12 µs", "2 min 5 s": for people; at most two significant figures below the
// point.
std::string human_duration(std::chrono::nanoseconds duration);
// "65 536 bytes", "1 byte".
std::string human_bytes(std::uint64_t bytes);

// Splits at `separator`, keeping empty parts.
std::vector<std::string_view> split(std::string_view text, char separator);
std::string_view trim(std::string_view text);

}  // namespace stucktrace::base
