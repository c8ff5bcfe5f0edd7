#include "tracer/unwind/python_lines.h"

namespace stucktrace::unwind {
namespace {

std::uint8_t byte_at(std::span<const std::byte> table, std::size_t index) {
  return std::to_integer<std::uint8_t>(table[index]);
}

// A line no source has: keeps hostile tables from overflowing.
bool plausible(std::int64_t line) {
  return line >= 0 && line < 100'000'000;
}

std::optional<int> checked(std::int64_t line) {
  if (!plausible(line)) return std::nullopt;
  return static_cast<int>(line);
}

// Objects/lnotab_notes.txt: the line of an instruction is the sum of the steps up to the last pair
// whose address does not exceed it.
std::optional<int> from_deltas(std::span<const std::byte> table, int first_line,
                               std::int64_t offset, bool is_signed) {
  std::int64_t address = 0, line = first_line;
  for (std::size_t index = 0; index + 1 < table.size(); index += 2) {
    address += byte_at(table, index);
    if (address > offset) break;
    const std::uint8_t step = byte_at(table, index + 1);
    line += is_signed ? static_cast<std::int8_t>(step) : static_cast<int>(step);
  }
  return checked(line);
}

std::optional<int> from_ranges(std::span<const std::byte> table, int first_line,
                               std::int64_t offset) {
  constexpr std::int8_t kNoLine = -128;
  std::int64_t end = 0, line = first_line;
  for (std::size_t index = 0; index + 1 < table.size(); index += 2) {
    end += byte_at(table, index);
    const auto step = static_cast<std::int8_t>(byte_at(table, index + 1));
    if (step != kNoLine) line += step;
    if (offset >= end) continue;
    return step == kNoLine ? std::nullopt : checked(line);
  }
  return std::nullopt;
}

// Six bits a byte, lowest first, bit 6 = more follow.
std::int64_t varint(std::span<const std::byte> table, std::size_t& index) {
  std::uint64_t value = 0;
  for (int shift = 0; index < table.size() && shift < 42; shift += 6) {
    const std::uint8_t byte = byte_at(table, index++);
    value |= static_cast<std::uint64_t>(byte & 63) << shift;
    if ((byte & 64) == 0) break;
  }
  return static_cast<std::int64_t>(value);
}

std::int64_t signed_varint(std::span<const std::byte> table, std::size_t& index) {
  const std::int64_t value = varint(table, index);
  return (value & 1) != 0 ? -(value >> 1) : value >> 1;
}

// Objects/locations.md: each entry begins with a byte that has bit 7 set.
std::optional<int> from_locations(std::span<const std::byte> table, int first_line,
                                  std::int64_t offset) {
  constexpr int kShortLast = 9, kOneLineFirst = 10, kOneLineLast = 12, kNoColumns = 13, kLong = 14;
  std::int64_t end = 0, line = first_line;
  std::size_t index = 0;
  while (index < table.size()) {
    const std::uint8_t head = byte_at(table, index++);
    if ((head & 0x80) == 0) return std::nullopt;
    const int code = (head >> 3) & 15;
    end += ((head & 7) + 1) * 2;
    bool has_line = true;
    if (code <= kShortLast) {
      // same line
    } else if (code >= kOneLineFirst && code <= kOneLineLast) {
      line += code - kOneLineFirst;
    } else if (code == kNoColumns || code == kLong) {
      line += signed_varint(table, index);
    } else {
      has_line = false;
    }
    if (offset < end) return has_line ? checked(line) : std::nullopt;
    while (index < table.size() && (byte_at(table, index) & 0x80) == 0) ++index;
  }
  return std::nullopt;
}

}  // namespace

LineTableKind line_table_kind(int major, int minor) {
  if (major < 3) return LineTableKind::kUnsignedDeltas;
  if (minor < 10) return LineTableKind::kSignedDeltas;
  return minor == 10 ? LineTableKind::kRanges : LineTableKind::kLocations;
}

std::optional<int> line_at(LineTableKind kind, std::span<const std::byte> table, int first_line,
                           std::int64_t offset) {
  if (offset < 0) return checked(first_line);
  switch (kind) {
    case LineTableKind::kUnsignedDeltas:
      return from_deltas(table, first_line, offset, false);
    case LineTableKind::kSignedDeltas:
      return from_deltas(table, first_line, offset, true);
    case LineTableKind::kRanges:
      return from_ranges(table, first_line, offset);
    case LineTableKind::kLocations:
      return from_locations(table, first_line, offset);
  }
  return std::nullopt;
}

}  // namespace stucktrace::unwind
