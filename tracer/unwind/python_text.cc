#include "tracer/unwind/python_text.h"

#include <cstdint>
#include <cstring>

namespace stucktrace::unwind {
namespace {

constexpr std::uint32_t kReplacement = 0xfffd;

void append(std::string& out, std::uint32_t point) {
  if (point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) point = kReplacement;
  const auto put = [&](std::uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (point < 0x80) {
    put(point);
  } else if (point < 0x800) {
    put(0xc0 | (point >> 6));
    put(0x80 | (point & 63));
  } else if (point < 0x10000) {
    put(0xe0 | (point >> 12));
    put(0x80 | ((point >> 6) & 63));
    put(0x80 | (point & 63));
  } else {
    put(0xf0 | (point >> 18));
    put(0x80 | ((point >> 12) & 63));
    put(0x80 | ((point >> 6) & 63));
    put(0x80 | (point & 63));
  }
}

}  // namespace

std::optional<std::string> utf8_from_units(std::span<const std::byte> units, std::size_t width) {
  if (width != 1 && width != 2 && width != 4) return std::nullopt;
  const std::size_t count = units.size() / width;
  const auto unit = [&](std::size_t index) {
    std::uint32_t value = 0;
    // Little-endian, as the machines this layer knows.
    std::memcpy(&value, units.data() + index * width, width);
    return value;
  };
  std::string out;
  out.reserve(count);
  for (std::size_t index = 0; index < count; ++index) {
    std::uint32_t point = unit(index);
    if (width == 2 && point >= 0xd800 && point <= 0xdbff && index + 1 < count) {
      const std::uint32_t low = unit(index + 1);
      if (low >= 0xdc00 && low <= 0xdfff) {
        point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
        ++index;
      }
    }
    append(out, point);
  }
  return out;
}

}  // namespace stucktrace::unwind
