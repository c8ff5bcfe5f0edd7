#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace stucktrace::unwind {

enum class LineTableKind : std::uint8_t {
  kUnsignedDeltas,  // co_lnotab up to 3.5: pairs of address step and line step
  kSignedDeltas,    // co_lnotab of 3.6 to 3.9: lines may go back
  kRanges,          // co_linetable of 3.10: address length and line step, -128 = no line
  kLocations,       // co_linetable of 3.11 on: variable-length entries with columns
};

LineTableKind line_table_kind(int major, int minor);

// The source line of the instruction at byte `offset` of the code; a negative offset (nothing run
// yet) gives the first line. nullopt: the table gives that instruction no line, or is malformed.
std::optional<int> line_at(LineTableKind kind, std::span<const std::byte> table, int first_line,
                           std::int64_t offset);

}  // namespace stucktrace::unwind
