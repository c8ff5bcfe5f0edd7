#include "tracer/unwind/elf_eh_frame.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>

#include "tracer/base/bytes.h"

namespace stucktrace::unwind {
namespace {

constexpr std::uint64_t kMaxSection = 64ULL * 1024 * 1024;

std::optional<std::uint64_t> read_leb128(base::ByteCursor& cursor) {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    const auto byte = cursor.read<std::uint8_t>();
    if (!byte) return std::nullopt;
    value |= std::uint64_t{*byte & 0x7fU} << shift;
    if ((*byte & 0x80U) == 0) return value;
  }
  return std::nullopt;
}

std::size_t size_of_form(std::uint8_t encoding) {
  switch (encoding & 0x07) {
    case 0x02:
      return 2;
    case 0x03:
      return 4;
    case 0x00:
    case 0x04:
      return 8;
    default:
      return 0;  // LEB128: not used for code
  }
}

// How a CIE says that its FDEs write addresses; nullopt where it cannot be read. The cursor stands
// behind the CIE id.
std::optional<std::uint8_t> pointer_encoding(base::ByteCursor cursor, std::string_view record) {
  const auto version = cursor.read<std::uint8_t>();
  if (!version || (*version != 1 && *version != 3)) return std::nullopt;
  const std::size_t end = record.find('\0', cursor.position());
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view augmentation = record.substr(cursor.position(), end - cursor.position());
  if (!cursor.seek(end + 1)) return std::nullopt;
  constexpr std::uint8_t kAbsolute = 0;
  if (augmentation.empty()) return kAbsolute;
  if (augmentation.front() != 'z') return std::nullopt;
  // Code and data alignment, return register, length of the augmentation data.
  if (!read_leb128(cursor) || !read_leb128(cursor)) return std::nullopt;
  if (*version == 1 ? !cursor.read<std::uint8_t>() : !read_leb128(cursor)) return std::nullopt;
  if (!read_leb128(cursor)) return std::nullopt;
  for (const char letter : augmentation.substr(1)) {
    if (letter == 'R') return cursor.read<std::uint8_t>();
    if (letter == 'L') {
      if (!cursor.read<std::uint8_t>()) return std::nullopt;
    } else if (letter == 'P') {
      const auto encoding = cursor.read<std::uint8_t>();
      if (!encoding || size_of_form(*encoding) == 0) return std::nullopt;
      if (!cursor.read_bytes(size_of_form(*encoding))) return std::nullopt;
    } else if (letter != 'S' && letter != 'B') {
      return std::nullopt;
    }
  }
  return kAbsolute;
}

// The first address of an FDE; `at` is where it is written.
std::optional<std::uint64_t> function_of(base::ByteCursor& cursor, std::uint8_t encoding,
                                         std::uint64_t at) {
  constexpr std::uint8_t kSigned = 0x08, kPcRelative = 0x10;
  std::uint64_t value = 0;
  if (size_of_form(encoding) == 4) {
    const auto word = cursor.read<std::int32_t>();
    if (!word) return std::nullopt;
    value = (encoding & kSigned) != 0 ? static_cast<std::uint64_t>(std::int64_t{*word})
                                      : static_cast<std::uint32_t>(*word);
  } else if (size_of_form(encoding) == 8) {
    const auto word = cursor.read<std::uint64_t>();
    if (!word) return std::nullopt;
    value = *word;
  } else {
    return std::nullopt;
  }
  switch (encoding & 0xf0) {
    case 0:
      return value;
    case kPcRelative:
      return value + at;
    default:
      return std::nullopt;
  }
}

std::optional<std::int32_t> relative(std::uint64_t address, std::uint64_t base) {
  const auto distance = static_cast<std::int64_t>(address - base);
  if (distance < std::numeric_limits<std::int32_t>::min() ||
      distance > std::numeric_limits<std::int32_t>::max()) {
    return std::nullopt;
  }
  return static_cast<std::int32_t>(distance);
}

}  // namespace

std::vector<UnwindEntry> scan_eh_frame(const ElfImage& image) {
  const ElfSection* section = image.section(".eh_frame");
  if (section == nullptr) return {};
  const std::vector<std::byte> raw = image.contents(*section, kMaxSection);
  const std::span<const std::byte> bytes(raw);
  std::vector<UnwindEntry> result;
  std::unordered_map<std::size_t, std::optional<std::uint8_t>> encodings;  // by CIE offset
  for (std::size_t start = 0; start < bytes.size();) {
    base::ByteCursor cursor(bytes);
    cursor.seek(start);
    const auto length = cursor.read<std::uint32_t>();
    constexpr std::uint32_t kExtended = 0xffffffff;  // 64-bit lengths: never in .eh_frame of ours
    if (!length || *length == kExtended || *length > cursor.remaining()) break;
    const std::size_t next = cursor.position() + *length;
    const std::size_t id_at = cursor.position();
    const auto id = *length == 0 ? std::nullopt : cursor.read<std::uint32_t>();
    start = next;
    if (!id) continue;  // a terminator: other objects' tables may follow it
    // The id of an FDE is the distance back to its CIE, that of a CIE is 0.
    if (*id == 0 || *id > id_at) continue;
    const std::size_t cie = id_at - *id;
    auto known = encodings.find(cie);
    if (known == encodings.end()) {
      base::ByteCursor header(bytes);
      std::optional<std::uint8_t> encoding;
      if (header.seek(cie + 8)) encoding = pointer_encoding(header, base::as_text(bytes));
      known = encodings.emplace(cie, encoding).first;
    }
    if (!known->second) continue;
    const auto function = function_of(cursor, *known->second, section->address + cursor.position());
    if (!function || *function == 0) continue;
    const auto from = relative(*function, section->address);
    const auto description = relative(section->address + (id_at - 4), section->address);
    if (from && description) result.push_back({*from, *description});
  }
  std::ranges::sort(result, {}, &UnwindEntry::function);
  return result;
}

}  // namespace stucktrace::unwind
