#include "tracer/unwind/java_objects.h"

#include <algorithm>
#include <array>
#include <map>
#include <vector>

#include "tracer/base/bytes.h"
#include "tracer/unwind/python_memory.h"

namespace stucktrace::unwind {
namespace {

constexpr std::size_t kMaxFlags = 8192;
constexpr std::size_t kMaxFlagName = 128;
constexpr int kMaxSupers = 64;
constexpr std::size_t kMaxFieldBytes = 64u << 10;
constexpr std::size_t kMaxFields = 4096;
constexpr std::uint64_t kObjectSpan = 1u << 16;  // the fields of one object

using Flags = std::map<std::string, bool, std::less<>>;

// Boolean command-line flags among the given, as the machine settled them.
Flags read_flags(const syscalls::RemoteMemory& memory, const JavaTables& tables,
                 std::initializer_list<std::string_view> wanted) {
  const auto first = tables.address({"JVMFlag::flags", "Flag::flags"});
  const auto count = tables.address({"JVMFlag::numFlags", "Flag::numFlags"});
  const auto name = tables.offset({"JVMFlag::_name", "Flag::_name"});
  const auto value = tables.offset({"JVMFlag::_addr", "Flag::_addr"});
  auto size = tables.size_of("JVMFlag");
  if (!size) size = tables.size_of("Flag");
  if (!first || !count || !name || !value || !size || *size > 256) return {};
  const std::uint64_t start = read_word(memory, *first);
  const std::uint64_t flags = std::min<std::uint64_t>(read_word(memory, *count), kMaxFlags);
  Flags found;
  for (std::uint64_t index = 0; index < flags; ++index) {
    const std::uint64_t flag = start + index * *size;
    const std::string text = read_java_text(memory, read_word(memory, flag + *name), kMaxFlagName);
    if (std::ranges::find(wanted, text) == wanted.end()) continue;
    std::uint8_t set = 0;
    std::uint64_t at = 0;
    if (!memory.read_value(base::RemoteAddr{flag + *value}, at)) continue;
    if (memory.read_value(base::RemoteAddr{at}, set)) found[text] = set != 0;
  }
  return found;
}

// HotSpot's UNSIGNED5: digits of base 64 from the lowest on, in bytes of 1 to 255; a digit byte
// below 192 is the last one, and so is the fifth.
std::optional<std::uint32_t> read_unsigned5(base::ByteCursor& cursor) {
  constexpr std::uint32_t kLowest = 1, kHigh = 192;
  std::uint32_t sum = 0;
  for (unsigned shift = 0; shift <= 24; shift += 6) {
    const auto byte = cursor.read<std::uint8_t>();
    if (!byte || *byte < kLowest) return std::nullopt;
    sum += (*byte - kLowest) << shift;
    if (*byte < kHigh) return sum;
  }
  return sum;
}

}  // namespace

std::optional<JavaObjects> JavaObjects::read(const syscalls::RemoteMemory& memory,
                                             const JavaTables& tables) {
  JavaObjects objects{memory, tables};
  if (!objects.read_layout() || !objects.read_collector()) return std::nullopt;
  return objects;
}

bool JavaObjects::read_layout() {
  const auto mark = tables_.offset({"oopDesc::_mark"});
  const auto klass = tables_.offset({"oopDesc::_metadata._klass"});
  const auto narrow_klass = tables_.offset({"oopDesc::_metadata._compressed_klass"});
  const auto super = tables_.offset({"Klass::_super"});
  const auto name = tables_.offset({"Klass::_name"});
  const auto length = tables_.offset({"Symbol::_length"});
  const auto body = tables_.offset({"Symbol::_body[0]", "Symbol::_body"});
  const auto constants = tables_.offset({"InstanceKlass::_constants"});
  const auto constants_size = tables_.size_of("ConstantPool");
  const auto array_length = tables_.offset({"Array<int>::_length"});
  const auto mask = tables_.constant({"markWord::lock_mask_in_place",  //
                                      "markOopDesc::lock_mask_in_place"});
  const auto moved = tables_.constant({"markWord::marked_value", "markOopDesc::marked_value"});
  if (!mark || !klass || !narrow_klass || !super || !name || !length || !body || !constants ||
      !constants_size || *constants_size > kObjectSpan || !array_length || !mask || !moved) {
    return false;
  }
  layout_ = {*mark,   *klass, *narrow_klass, *super,          *name,
             *length, *body,  *constants,    *constants_size, *array_length};
  lock_mask_ = static_cast<std::uint64_t>(*mask);
  moved_ = static_cast<std::uint64_t>(*moved);
  return true;
}

std::optional<JavaObjects::Narrow> JavaObjects::narrow(const char* base, const char* shift,
                                                       const char* older) const {
  const std::string old = std::string("Universe::") + older;
  const std::string middle =
      std::string(older == std::string_view("_narrow_oop") ? "CompressedOops::"
                                                           : "CompressedKlassPointers::") +
      older;
  const auto base_at = tables_.address({base, middle + "._base", old + "._base"});
  const auto shift_at = tables_.address({shift, middle + "._shift", old + "._shift"});
  Narrow result;
  if (!base_at || !shift_at) return std::nullopt;
  if (!memory_.read_value(base::RemoteAddr{*base_at}, result.base) ||
      !memory_.read_value(base::RemoteAddr{*shift_at}, result.shift)) {
    return std::nullopt;
  }
  if (result.shift < 0 || result.shift > 16) return std::nullopt;
  return result;
}

bool JavaObjects::read_collector() {
  const Flags flags = read_flags(
      memory_, tables_,
      {"UseCompressedOops", "UseCompressedClassPointers", "UseCompactObjectHeaders", "UseZGC"});
  const auto oops = flags.find("UseCompressedOops");
  const auto classes = flags.find("UseCompressedClassPointers");
  const auto is_set = [&](std::string_view name) {
    const auto flag = flags.find(name);
    return flag != flags.end() && flag->second;
  };
  if (oops == flags.end() || classes == flags.end() || is_set("UseZGC")) return false;
  compressed_ = oops->second;
  if (compressed_) {
    const auto found = narrow("CompressedOops::_base", "CompressedOops::_shift", "_narrow_oop");
    if (!found) return false;
    oops_ = *found;
  }
  if (!classes->second) return true;
  const auto found =
      narrow("CompressedKlassPointers::_base", "CompressedKlassPointers::_shift", "_narrow_klass");
  if (!found) return false;
  classes_ = *found;
  header_ = Header::kCompressed;
  if (!is_set("UseCompactObjectHeaders")) return true;
  const auto shift = tables_.constant({"markWord::klass_shift"});
  if (!shift || *shift < 32 || *shift > 63) return false;
  class_shift_ = static_cast<int>(*shift);
  header_ = Header::kCompact;
  return true;
}

std::uint64_t JavaObjects::in_slot(std::uint64_t slot) const {
  const std::uint64_t object = read_word(memory_, slot);
  return plausible_pointer(object) ? object : 0;
}

std::uint64_t JavaObjects::class_of(std::uint64_t object) const {
  std::uint64_t mark = 0;
  if (!plausible_pointer(object)) return 0;
  if (!memory_.read_value(base::RemoteAddr{object + layout_.mark}, mark)) return 0;
  if ((mark & lock_mask_) == moved_) return 0;
  std::uint32_t index = 0;
  switch (header_) {
    case Header::kPlain:
      return read_word(memory_, object + layout_.klass);
    case Header::kCompressed:
      if (!memory_.read_value(base::RemoteAddr{object + layout_.narrow_klass}, index)) return 0;
      break;
    case Header::kCompact:
      index = static_cast<std::uint32_t>(mark >> class_shift_);
      break;
  }
  return index == 0 ? 0 : classes_.base + (std::uint64_t{index} << classes_.shift);
}

std::uint64_t JavaObjects::class_named(std::uint64_t derived, std::string_view name) const {
  std::uint64_t klass = derived;
  for (int depth = 0; depth < kMaxSupers && plausible_pointer(klass); ++depth) {
    if (symbol(read_word(memory_, klass + layout_.name)) == name) return klass;
    klass = read_word(memory_, klass + layout_.super);
  }
  return 0;
}

std::string JavaObjects::symbol(std::uint64_t address) const {
  constexpr std::uint16_t kLongest = 256;  // of what is looked for; others are only compared
  std::uint16_t length = 0;
  if (!plausible_pointer(address)) return {};
  if (!memory_.read_value(base::RemoteAddr{address + layout_.symbol_length}, length)) return {};
  if (length > kLongest) return {};
  std::string text(length, '\0');
  const auto bytes = std::as_writable_bytes(std::span{text});
  const base::RemoteAddr body{address + layout_.symbol_body};
  return memory_.read(body, bytes) == bytes.size() ? text : std::string{};
}

std::string JavaObjects::constant(std::uint64_t klass, std::uint32_t index) const {
  const std::uint64_t pool = read_word(memory_, klass + layout_.constants);
  if (!plausible_pointer(pool) || index > 0xffff) return {};
  return symbol(read_word(memory_, pool + layout_.constants_size + std::uint64_t{index} * 8));
}

std::optional<std::uint32_t> JavaObjects::field_offset(std::uint64_t klass,
                                                       std::string_view name) const {
  auto offset = tables_.field("InstanceKlass::_fieldinfo_stream") != nullptr
                    ? offset_in_stream(klass, name)
                    : offset_in_slots(klass, name);
  if (offset && (*offset >= kObjectSpan || *offset % 4 != 0)) offset.reset();
  return offset;
}

// JDK 8 to 20: an array of shorts, some for each field; the offset is what remains of two of them
// above a tag.
std::optional<std::uint32_t> JavaObjects::offset_in_slots(std::uint64_t klass,
                                                          std::string_view name) const {
  const auto fields = tables_.offset({"InstanceKlass::_fields"});
  const auto count_at = tables_.offset({"InstanceKlass::_java_fields_count"});
  const auto data = tables_.offset({"Array<u2>::_data"});
  const auto slots = tables_.constant({"FieldInfo::field_slots"});
  const auto name_slot = tables_.constant({"FieldInfo::name_index_offset"});
  const auto low_slot = tables_.constant({"FieldInfo::low_packed_offset"});
  const auto high_slot = tables_.constant({"FieldInfo::high_packed_offset"});
  const auto tag = tables_.constant({"FIELDINFO_TAG_SIZE"});
  if (!fields || !count_at || !data || !slots || !name_slot || !low_slot || !high_slot || !tag) {
    return std::nullopt;
  }
  constexpr std::int64_t kMaxSlots = 32;
  const auto fits = [&](std::int64_t slot) { return slot >= 0 && slot < *slots; };
  const bool sane = *slots > 0 && *slots <= kMaxSlots && fits(*name_slot) && fits(*low_slot) &&
                    fits(*high_slot) && *tag >= 0 && *tag < 16;
  const std::uint64_t array = read_word(memory_, klass + *fields);
  std::uint16_t count = 0;
  if (!sane || !plausible_pointer(array) ||
      !memory_.read_value(base::RemoteAddr{klass + *count_at}, count)) {
    return std::nullopt;
  }
  std::array<std::uint16_t, kMaxSlots> field{};
  const std::span used = std::span{field}.first(static_cast<std::size_t>(*slots));
  for (std::uint64_t index = 0; index < std::min<std::size_t>(count, kMaxFields); ++index) {
    const base::RemoteAddr at{array + *data + index * used.size_bytes()};
    if (memory_.read(at, std::as_writable_bytes(used)) != used.size_bytes()) return std::nullopt;
    if (constant(klass, used[static_cast<std::size_t>(*name_slot)]) != name) continue;
    const std::uint32_t packed = used[static_cast<std::size_t>(*low_slot)] |
                                 (std::uint32_t{used[static_cast<std::size_t>(*high_slot)]} << 16U);
    return packed >> *tag;
  }
  return std::nullopt;
}

// JDK 21 and later: numbers in UNSIGNED5. How many fields there are, how many the machine added;
// then of each field the name, the type, the offset, and two sets of flags, the second of which
// says what else there is of it.
std::optional<std::uint32_t> JavaObjects::offset_in_stream(std::uint64_t klass,
                                                           std::string_view name) const {
  const auto stream = tables_.offset({"InstanceKlass::_fieldinfo_stream"});
  const auto data = tables_.offset({"Array<u1>::_data"});
  const auto initialized = tables_.constant({"FieldInfo::FieldFlags::_ff_initialized"});
  const auto generic = tables_.constant({"FieldInfo::FieldFlags::_ff_generic"});
  const auto contended = tables_.constant({"FieldInfo::FieldFlags::_ff_contended"});
  if (!stream || !data || !initialized || !generic || !contended) return std::nullopt;
  const std::uint64_t array = read_word(memory_, klass + *stream);
  std::int32_t length = 0;
  if (!plausible_pointer(array)) return std::nullopt;
  if (!memory_.read_value(base::RemoteAddr{array + layout_.array_length}, length)) {
    return std::nullopt;
  }
  if (length <= 0 || static_cast<std::size_t>(length) > kMaxFieldBytes) return std::nullopt;
  std::vector<std::byte> bytes(static_cast<std::size_t>(length));
  if (memory_.read(base::RemoteAddr{array + *data}, bytes) != bytes.size()) return std::nullopt;
  base::ByteCursor cursor{bytes};
  const auto count = read_unsigned5(cursor);
  if (!count || !read_unsigned5(cursor)) return std::nullopt;
  for (std::size_t index = 0; index < std::min<std::size_t>(*count, kMaxFields); ++index) {
    const auto name_index = read_unsigned5(cursor);
    const auto type_index = read_unsigned5(cursor);
    const auto offset = read_unsigned5(cursor);
    const auto access = read_unsigned5(cursor);
    const auto flags = read_unsigned5(cursor);
    if (!name_index || !type_index || !offset || !access || !flags) return std::nullopt;
    if (constant(klass, *name_index) == name) return offset;
    for (const std::int64_t more : {*initialized, *generic, *contended}) {
      if (more < 0 || more > 31) return std::nullopt;
      if ((*flags >> more & 1U) != 0 && !read_unsigned5(cursor)) return std::nullopt;
    }
  }
  return std::nullopt;
}

std::uint64_t JavaObjects::referred(std::uint64_t object, std::string_view declarer,
                                    std::string_view field) const {
  const std::uint64_t klass = class_named(class_of(object), declarer);
  if (klass == 0) return 0;
  const auto offset = field_offset(klass, field);
  if (!offset || *offset == 0) return 0;
  if (!compressed_) return in_slot(object + *offset);
  std::uint32_t index = 0;
  if (!memory_.read_value(base::RemoteAddr{object + *offset}, index) || index == 0) return 0;
  const std::uint64_t found = oops_.base + (std::uint64_t{index} << oops_.shift);
  return plausible_pointer(found) ? found : 0;
}

}  // namespace stucktrace::unwind
