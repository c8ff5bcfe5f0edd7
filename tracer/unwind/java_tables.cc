#include "tracer/unwind/java_tables.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace stucktrace::unwind {
namespace {

// JDK 8 to 25 have 600 to 3000 fields, entries of 48 bytes and names of up to 120.
constexpr std::size_t kMaxEntries = 16384;
constexpr std::uint64_t kMaxStride = 256;
constexpr std::size_t kMaxName = 256;
constexpr std::uint64_t kMaxObject = 1u << 16;  // a struct is smaller than that

base::Error malformed(std::string_view what) {
  base::Error error;
  error.kind = base::ErrorKind::kMalformed;
  error.operation = what;
  return error;
}

// One of the tables: where it is, and what its variables say of its entries.
class Table {
 public:
  Table(const syscalls::RemoteMemory& memory, const JavaTables::Variables& variables,
        std::string_view table, std::string_view entry)
      : memory_(memory), variables_(variables), entry_(entry) {
    start_ = value(std::string(table));
    stride_ = value(entry_ + "ArrayStride");
  }

  bool valid() const { return start_ != 0 && stride_ >= 8 && stride_ <= kMaxStride; }

  // Where in an entry `what` lies, if `size` bytes of it fit there.
  std::optional<std::size_t> place(std::string_view what, std::size_t size) const {
    const std::uint64_t variable = variables_(entry_ + std::string(what) + "Offset");
    std::uint64_t at = 0;
    if (variable == 0 || !memory_.read_value(base::RemoteAddr{variable}, at)) return std::nullopt;
    if (at > stride_ || stride_ - at < size) return std::nullopt;
    return at;
  }

  // Calls `visit` with the bytes of each entry up to the one whose name at `name` is null. False:
  // the table does not end.
  template <class Visitor>
  bool each(std::size_t name, Visitor visit) const {
    std::array<std::byte, kMaxStride> entry{};
    const std::span bytes = std::span{entry}.first(stride_);
    for (std::size_t index = 0; index < kMaxEntries; ++index) {
      const base::RemoteAddr at{start_ + index * stride_};
      if (memory_.read(at, bytes) != bytes.size()) return false;
      if (at_place<std::uint64_t>(bytes, name) == 0) return true;
      visit(bytes);
    }
    return false;
  }

  std::string text(std::span<const std::byte> entry, std::size_t place) const {
    return read_java_text(memory_, at_place<std::uint64_t>(entry, place), kMaxName);
  }

  template <class T>
  static T at_place(std::span<const std::byte> entry, std::size_t place) {
    T value{};
    std::memcpy(&value, entry.data() + place, sizeof(T));
    return value;
  }

 private:
  std::uint64_t value(const std::string& name) const {
    const std::uint64_t variable = variables_(name);
    std::uint64_t result = 0;
    if (variable == 0 || !memory_.read_value(base::RemoteAddr{variable}, result)) return 0;
    return result;
  }

  const syscalls::RemoteMemory& memory_;
  const JavaTables::Variables& variables_;
  std::string entry_;
  std::uint64_t start_ = 0;
  std::uint64_t stride_ = 0;
};

template <class T>
auto find(const std::map<std::string, T, std::less<>>& map, std::string_view name) {
  const auto found = map.find(name);
  return found == map.end() ? nullptr : &found->second;
}

bool read_fields(const Table& table, std::map<std::string, JavaField, std::less<>>& fields) {
  const auto owner = table.place("TypeName", 8);
  const auto name = table.place("FieldName", 8);
  const auto type = table.place("TypeString", 8);
  const auto is_static = table.place("IsStatic", 4);
  const auto offset = table.place("Offset", 8);
  const auto address = table.place("Address", 8);
  if (!table.valid() || !owner || !name || !type || !is_static || !offset || !address) return false;
  return table.each(*owner, [&](std::span<const std::byte> entry) {
    JavaField field;
    field.type = table.text(entry, *type);
    field.is_static = Table::at_place<std::int32_t>(entry, *is_static) != 0;
    field.offset = Table::at_place<std::uint64_t>(entry, *offset);
    field.address = Table::at_place<std::uint64_t>(entry, *address);
    if (!field.is_static && field.offset >= kMaxObject) return;
    fields.emplace(table.text(entry, *owner) + "::" + table.text(entry, *name), std::move(field));
  });
}

bool read_sizes(const Table& table, std::map<std::string, std::uint64_t, std::less<>>& sizes) {
  const auto name = table.place("TypeName", 8);
  const auto size = table.place("Size", 8);
  if (!table.valid() || !name || !size) return false;
  return table.each(*name, [&](std::span<const std::byte> entry) {
    sizes.emplace(table.text(entry, *name), Table::at_place<std::uint64_t>(entry, *size));
  });
}

template <class T>
bool read_constants(const Table& table,
                    std::map<std::string, std::int64_t, std::less<>>& constants) {
  const auto name = table.place("Name", 8);
  const auto value = table.place("Value", sizeof(T));
  if (!table.valid() || !name || !value) return false;
  return table.each(*name, [&](std::span<const std::byte> entry) {
    constants.emplace(table.text(entry, *name), Table::at_place<T>(entry, *value));
  });
}

}  // namespace

std::string read_java_text(const syscalls::RemoteMemory& memory, std::uint64_t address,
                           std::size_t limit) {
  std::string text;
  std::array<std::byte, 32> piece{};
  while (address != 0 && text.size() <= limit) {
    const std::size_t count = memory.read(base::RemoteAddr{address + text.size()}, piece);
    const auto end = piece.begin() + static_cast<std::ptrdiff_t>(count);
    const auto nul = std::find(piece.begin(), end, std::byte{0});
    for (auto at = piece.begin(); at != nul; ++at) text.push_back(static_cast<char>(*at));
    if (nul != end) return text.size() <= limit ? text : std::string{};
    if (count < piece.size()) break;
  }
  return {};
}

base::Result<JavaTables> JavaTables::read(const syscalls::RemoteMemory& memory,
                                          const Variables& variables) {
  JavaTables tables;
  const auto table = [&](std::string_view name, std::string_view entry) {
    return Table{memory, variables, name, entry};
  };
  const bool complete =
      read_fields(table("gHotSpotVMStructs", "gHotSpotVMStructEntry"), tables.fields_) &&
      read_sizes(table("gHotSpotVMTypes", "gHotSpotVMTypeEntry"), tables.sizes_) &&
      read_constants<std::int32_t>(table("gHotSpotVMIntConstants", "gHotSpotVMIntConstantEntry"),
                                   tables.constants_) &&
      read_constants<std::int64_t>(table("gHotSpotVMLongConstants", "gHotSpotVMLongConstantEntry"),
                                   tables.constants_);
  if (!complete) return base::Failure{malformed("read the tables of the Java virtual machine")};
  return tables;
}

const JavaField* JavaTables::field(std::string_view name) const {
  return find(fields_, name);
}

std::optional<std::uint32_t> JavaTables::offset(
    std::initializer_list<std::string_view> names) const {
  for (const std::string_view name : names) {
    const JavaField* found = field(name);
    if (found != nullptr && !found->is_static) return static_cast<std::uint32_t>(found->offset);
  }
  return std::nullopt;
}

std::optional<std::uint64_t> JavaTables::address(
    std::initializer_list<std::string_view> names) const {
  for (const std::string_view name : names) {
    const JavaField* found = field(name);
    if (found != nullptr && found->is_static && found->address != 0) return found->address;
  }
  return std::nullopt;
}

std::optional<std::uint64_t> JavaTables::size_of(std::string_view type) const {
  const std::uint64_t* size = find(sizes_, type);
  return size != nullptr ? std::optional{*size} : std::nullopt;
}

std::optional<std::int64_t> JavaTables::constant(
    std::initializer_list<std::string_view> names) const {
  for (const std::string_view name : names) {
    if (const std::int64_t* value = find(constants_, name)) return *value;
  }
  return std::nullopt;
}

}  // namespace stucktrace::unwind
