#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

// The constants of the recording format; FORMAT.md has the words, stucktrace.proto the messages.
namespace stucktrace::record {

// The first eight bytes. The high bit of the first one and the line end catch transfers that change
// bytes, as in PNG.
inline constexpr std::string_view kMagic{"\x93STKTRC\n", 8};
// Then four bytes, little-endian: the version this code writes and the newest it reads.
inline constexpr std::uint32_t kFormatVersion = 1;
inline constexpr std::size_t kPreambleSize = kMagic.size() + sizeof(kFormatVersion);

// Frames: field numbers of the `Recording` message, always length-delimited.
enum class Frame : std::uint32_t {
  kHeader = 1,
  kEvent = 2,
  kEnd = 3,
};

// A longer message is malformed, in either direction.
inline constexpr std::size_t kMaxMessage = std::size_t{256} << 20U;
// What one message may grow to in memory: hostile bytes can name many empty elements cheaply.
inline constexpr std::size_t kExpansionBase = std::size_t{16} << 20U;
inline constexpr std::size_t kExpansionFactor = 32;

}  // namespace stucktrace::record
