#include "tracer/unwind/python_objects.h"

#include <algorithm>
#include <array>

#include "tracer/base/bytes.h"
#include "tracer/unwind/python_text.h"

namespace stucktrace::unwind {
namespace {

constexpr std::size_t kObjectHead = 24;  // reference count, type, size
constexpr std::size_t kDictHead = 64;

std::uint64_t plus(std::uint64_t address, int offset) {
  return address + static_cast<std::uint64_t>(offset);
}

}  // namespace

const std::string& PythonObjects::type_name(std::uint64_t object) const {
  const auto head = RemoteRecord::read(memory_, object, kObjectHead, 16);
  return name_of_type(head ? head->word(layout_.object_type) : 0);
}

bool PythonObjects::is_kind_of(std::uint64_t object, std::string_view type) const {
  constexpr int kMaxBases = 16;
  const auto head = RemoteRecord::read(memory_, object, kObjectHead, 16);
  std::uint64_t at = head ? head->word(layout_.object_type) : 0;
  for (int depth = 0; at != 0 && depth < kMaxBases; ++depth) {
    if (name_of_type(at) == type) return true;
    at = read_word(memory_, plus(at, layout_.type_base));
  }
  return false;
}

const std::string& PythonObjects::name_of_type(std::uint64_t type) const {
  static const std::string kNone;
  if (const auto known = type_names_.find(type); known != type_names_.end()) return known->second;
  constexpr std::size_t kMaxTypes = 1024, kLongest = 64;
  if (!plausible_pointer(type) || type_names_.size() >= kMaxTypes) return kNone;
  // The name is a C string of any alignment.
  const std::uint64_t at = read_word(memory_, plus(type, layout_.type_name));
  std::array<std::byte, kLongest> bytes{};
  const std::size_t got = at == 0 ? 0 : memory_.read(base::RemoteAddr{at}, bytes);
  const std::string_view whole = base::as_text(std::span{bytes}.first(got));
  const std::size_t end = whole.find('\0');
  if (end == std::string_view::npos || end == 0) return kNone;
  return type_names_.emplace(type, whole.substr(0, end)).first->second;
}

std::optional<std::string> PythonObjects::text(std::uint64_t object) const {
  // Most names are short and lie right behind the head: one read takes both.
  constexpr std::size_t kTogether = 256, kOldHead = 40;
  const bool old = layout_.major < 3;
  const std::size_t least = old ? kOldHead : static_cast<std::size_t>(layout_.text_ascii_data);
  const auto copy = RemoteRecord::read(memory_, object, kTogether, least);
  if (!copy) return std::nullopt;
  const std::string& type = name_of_type(copy->word(layout_.object_type));
  if (type == (old ? "unicode" : "str")) return wide_text(object, *copy);
  return old && type == "str" ? narrow_text(object, *copy) : std::nullopt;
}

std::optional<std::string> PythonObjects::narrow_text(std::uint64_t object,
                                                      const RemoteRecord& copy) const {
  const std::uint64_t size = copy.word(layout_.object_size);
  std::string result(std::min<std::uint64_t>(size, kMaxPythonText), '\0');
  const auto inside = static_cast<std::size_t>(layout_.bytes_data);
  if (inside + result.size() <= copy.bytes().size()) {
    result = base::as_text(copy.bytes().subspan(inside, result.size()));
    return result;
  }
  const base::RemoteAddr at{plus(object, layout_.bytes_data)};
  if (memory_.read(at, std::as_writable_bytes(std::span{result})) != result.size()) {
    return std::nullopt;
  }
  return result;
}

std::optional<std::string> PythonObjects::wide_text(std::uint64_t object,
                                                    const RemoteRecord& copy) const {
  const std::uint64_t length = copy.word(layout_.text_length);
  const std::uint64_t count = std::min<std::uint64_t>(length, kMaxPythonText);
  if (count == 0) return std::string{};
  std::size_t width = unicode_width_;
  std::uint64_t data = 0;
  if (layout_.major < 3) {
    data = copy.word(layout_.text_pointer);
  } else {
    // struct { interned:2; kind:3; compact:1; ascii:1; ... } in every version known here.
    const auto state = copy.at<std::uint32_t>(layout_.text_state);
    const bool compact = (state & 32) != 0, ascii = (state & 64) != 0;
    width = (state >> 2) & 7;
    if (ascii && width != 1) return std::nullopt;
    if (!compact) {
      data = read_word(memory_, plus(object, layout_.text_pointer));
    } else {
      const int inside = ascii ? layout_.text_ascii_data : layout_.text_compact_data;
      const auto start = static_cast<std::size_t>(inside);
      if (start + count * width <= copy.bytes().size()) {
        return utf8_from_units(copy.bytes().subspan(start, count * width), width);
      }
      data = plus(object, inside);
    }
  }
  if ((width != 1 && width != 2 && width != 4) || data == 0) return std::nullopt;
  std::vector<std::byte> units(count * width);
  if (memory_.read(base::RemoteAddr{data}, units) != units.size()) return std::nullopt;
  return utf8_from_units(units, width);
}

std::optional<std::vector<std::byte>> PythonObjects::bytes(std::uint64_t object,
                                                           std::size_t limit) const {
  if (!is_a(object, layout_.major < 3 ? "str" : "bytes")) return std::nullopt;
  const auto head = RemoteRecord::read(memory_, object, kObjectHead);
  if (!head) return std::nullopt;
  const std::uint64_t size = head->word(layout_.object_size);
  if (size > limit) return std::nullopt;
  std::vector<std::byte> result(size);
  const base::RemoteAddr at{plus(object, layout_.bytes_data)};
  if (memory_.read(at, result) != size) return std::nullopt;
  return result;
}

std::optional<double> PythonObjects::real(std::uint64_t object) const {
  if (!is_a(object, "float")) return std::nullopt;
  double value = 0;
  const base::RemoteAddr at{plus(object, layout_.float_value)};
  if (!memory_.read_value(at, value)) return std::nullopt;
  return value;
}

std::optional<std::uint64_t> PythonObjects::integer(std::uint64_t object) const {
  const std::string& type = type_name(object);
  if (layout_.int_value >= 0 && type == "int") {
    std::int64_t value = -1;
    const base::RemoteAddr at{plus(object, layout_.int_value)};
    if (!memory_.read_value(at, value) || value < 0) return std::nullopt;
    return static_cast<std::uint64_t>(value);
  }
  if (type != (layout_.major < 3 ? "long" : "int")) return std::nullopt;
  // Three digits of 30 bits hold every 64-bit number.
  constexpr std::uint64_t kDigits = 3;
  const auto copy = RemoteRecord::read(memory_, object, 40, kObjectHead);
  if (!copy) return std::nullopt;
  std::uint64_t count = copy->word(layout_.long_size);
  if (layout_.version() >= 312) {
    // Low bits of lv_tag: 0 positive, 1 zero, 2 negative.
    if ((count & 3) == 2) return std::nullopt;
    count >>= 3;
  }
  if (count > kDigits) return std::nullopt;
  std::uint64_t value = 0;
  for (std::uint64_t index = count; index-- > 0;) {
    const auto digit = copy->at<std::uint32_t>(layout_.long_digits + static_cast<int>(index) * 4);
    if (value >> 34 != 0) return std::nullopt;
    value = (value << 30) | (digit & 0x3fffffff);
  }
  return value;
}

std::optional<std::vector<std::uint64_t>> PythonObjects::tuple(std::uint64_t object,
                                                               std::size_t limit) const {
  if (!is_a(object, "tuple")) return std::nullopt;
  const auto head = RemoteRecord::read(memory_, object, kObjectHead);
  if (!head) return std::nullopt;
  const std::uint64_t size = head->word(layout_.object_size);
  if (size > limit) return std::nullopt;
  std::vector<std::uint64_t> items(size);
  const auto out = std::as_writable_bytes(std::span{items});
  const base::RemoteAddr at{plus(object, layout_.tuple_items)};
  if (memory_.read(at, out) != out.size()) return std::nullopt;
  return items;
}

void PythonObjects::each_item(std::uint64_t dict, const Visit& visit) const {
  if (!is_a(dict, "dict")) return;
  if (layout_.dict_table >= 0) return each_old_item(dict, visit);
  const auto head = RemoteRecord::read(memory_, dict, kDictHead, 48);
  if (!head) return;
  std::uint64_t values = head->word(layout_.dict_values);
  if (values != 0 && layout_.values_items > 0) values = plus(values, layout_.values_items);
  each_entry(head->word(layout_.dict_keys), values, visit);
}

void PythonObjects::each_member(std::uint64_t set,
                                const std::function<bool(std::uint64_t)>& visit) const {
  if (!is_a(set, "set") && !is_a(set, "frozenset")) return;
  const std::uint64_t mask = read_word(memory_, plus(set, layout_.set_mask));
  // A set that grows has up to ten places for a member.
  constexpr std::uint64_t kMostPlaces = std::uint64_t{1} << 21U;
  if (mask >= kMostPlaces) return;
  struct Entry {
    std::uint64_t key, hash;
  };
  constexpr std::uint64_t kBlock = 4096;
  const std::uint64_t table = read_word(memory_, plus(set, layout_.set_table));
  for (std::uint64_t from = 0; from <= mask; from += kBlock) {
    std::vector<Entry> entries(std::min(kBlock, mask + 1 - from));
    const auto out = std::as_writable_bytes(std::span{entries});
    if (memory_.read(base::RemoteAddr{table + from * sizeof(Entry)}, out) != out.size()) return;
    for (const Entry& entry : entries) {
      if (entry.key != 0 && !visit(entry.key)) return;
    }
  }
}

std::optional<bool> PythonObjects::truth(std::uint64_t object) const {
  if (!is_a(object, "bool")) return std::nullopt;
  std::uint32_t low = 0;
  const int at = layout_.int_value >= 0 ? layout_.int_value : layout_.long_digits;
  if (!memory_.read_value(base::RemoteAddr{plus(object, at)}, low) || low > 1) return std::nullopt;
  return low == 1;
}

void PythonObjects::each_old_item(std::uint64_t dict, const Visit& visit) const {
  const auto head = RemoteRecord::read(memory_, dict, kDictHead, 48);
  if (!head) return;
  const std::uint64_t mask = head->word(layout_.dict_mask);
  if (mask >= kMaxPythonEntries) return;
  struct Entry {
    std::uint64_t hash, key, value;
  };
  std::vector<Entry> entries(mask + 1);
  const auto out = std::as_writable_bytes(std::span{entries});
  const std::uint64_t table = head->word(layout_.dict_table);
  if (memory_.read(base::RemoteAddr{table}, out) != out.size()) return;
  for (const Entry& entry : entries) {
    if (entry.key == 0 || entry.value == 0) continue;
    if (!visit(entry.key, entry.value)) return;
  }
}

void PythonObjects::each_entry(std::uint64_t keys, std::uint64_t values, const Visit& visit) const {
  const auto head =
      RemoteRecord::read(memory_, keys, static_cast<std::size_t>(layout_.keys_indices));
  if (!head) return;
  const std::uint64_t count = head->word(layout_.keys_count);
  if (count > kMaxPythonEntries) return;
  std::uint64_t index_bytes = 0;
  std::size_t words = 3;  // hash, key, value
  if (layout_.keys_log2_bytes >= 0) {
    const auto log2 = head->at<std::uint8_t>(layout_.keys_log2_bytes);
    if (log2 > 32) return;
    index_bytes = std::uint64_t{1} << log2;
    if (head->at<std::uint8_t>(layout_.keys_kind) != 0) words = 2;  // str keys carry their hash
  } else {
    const std::uint64_t slots = head->word(layout_.keys_size);
    if (slots > std::uint64_t{4} * kMaxPythonEntries) return;
    index_bytes = slots * (slots <= 0xff ? 1 : slots <= 0xffff ? 2 : 4);
  }
  std::vector<std::uint64_t> entries(count * words);
  const auto out = std::as_writable_bytes(std::span{entries});
  const base::RemoteAddr at{plus(keys, layout_.keys_indices) + index_bytes};
  if (memory_.read(at, out) != out.size()) return;
  std::vector<std::uint64_t> split(values != 0 ? count : 0);
  const auto split_out = std::as_writable_bytes(std::span{split});
  if (memory_.read(base::RemoteAddr{values}, split_out) != split_out.size()) return;
  for (std::size_t index = 0; index < count; ++index) {
    const std::uint64_t key = entries[index * words + words - 2];
    const std::uint64_t value = values != 0 ? split[index] : entries[index * words + words - 1];
    if (key == 0 || value == 0) continue;
    if (!visit(key, value)) return;
  }
}

std::uint64_t PythonObjects::find(std::string_view name,
                                  const std::function<void(const Visit&)>& each) const {
  std::uint64_t result = 0;
  each([&](std::uint64_t key, std::uint64_t value) {
    if (text(key) != name) return true;
    result = value;
    return false;
  });
  return result;
}

std::uint64_t PythonObjects::item(std::uint64_t dict, std::string_view key) const {
  return find(key, [&](const Visit& visit) { each_item(dict, visit); });
}

std::uint64_t PythonObjects::attribute(std::uint64_t instance, std::string_view name) const {
  constexpr std::uint64_t kManagedDict = 1u << 4;
  const auto head = RemoteRecord::read(memory_, instance, kObjectHead, 16);
  if (!head) return 0;
  const std::uint64_t type = head->word(layout_.object_type);
  const auto type_head =
      RemoteRecord::read(memory_, type, static_cast<std::size_t>(layout_.type_dict_offset) + 8);
  if (!type_head) return 0;
  const std::uint64_t flags = type_head->word(layout_.type_flags);
  if (layout_.version() >= 311 && (flags & kManagedDict) != 0) {
    return managed_attribute(instance, type, flags, name);
  }
  const auto offset = type_head->at<std::int64_t>(layout_.type_dict_offset);
  if (offset <= 0 || offset > 4096) return 0;
  return item(read_word(memory_, plus(instance, static_cast<int>(offset))), name);
}

std::uint64_t PythonObjects::managed_attribute(std::uint64_t instance, std::uint64_t type,
                                               std::uint64_t flags, std::string_view name) const {
  constexpr std::uint64_t kInlineValues = 1u << 2;  // 3.13
  // The dict pointer stands three words before the object; the values of an instance that never
  // needed a dict: 3.11 a pointer one word before that, 3.12 the same word with bit 0 set (pointer
  // minus one), 3.13 right behind the object.
  const std::uint64_t slot = instance - 24;
  std::uint64_t dict = read_word(memory_, slot);
  std::uint64_t values = 0;
  if (layout_.minor == 11) {
    values = read_word(memory_, slot - 8);
  } else if (layout_.minor == 12) {
    if ((dict & 1) != 0) values = dict + 1;
  } else if ((flags & kInlineValues) != 0 && dict == 0) {
    const std::uint64_t size = read_word(memory_, plus(type, layout_.type_basic_size));
    constexpr std::uint64_t kLargest = 1u << 20;
    if (size < 16 || size > kLargest) return 0;
    values = instance + size;
    std::array<std::uint8_t, 4> state{};  // capacity, size, embedded, valid
    if (!memory_.read_value(base::RemoteAddr{values}, state) || state[3] == 0) return 0;
  }
  if (values == 0) return item(dict, name);
  const std::uint64_t keys = read_word(memory_, plus(type, layout_.type_shared_keys));
  return find(name, [&](const Visit& visit) {
    each_entry(keys, plus(values, layout_.values_items), visit);
  });
}

}  // namespace stucktrace::unwind
