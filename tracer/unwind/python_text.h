#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>

namespace stucktrace::unwind {

// Fixed-width code units (1, 2 or 4 bytes: latin-1, UCS-2 or UTF-16, UCS-4) as UTF-8; lone
// surrogates and numbers that are no code point become U+FFFD. nullopt: another width.
std::optional<std::string> utf8_from_units(std::span<const std::byte> units, std::size_t width);

}  // namespace stucktrace::unwind
