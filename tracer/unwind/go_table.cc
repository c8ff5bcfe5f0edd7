#include "tracer/unwind/go_table.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <ranges>
#include <utility>

namespace stucktrace::unwind {
namespace {

constexpr std::uint64_t kMaxTable = 512ULL * 1024 * 1024;
constexpr std::size_t kMaxName = 1024;
// Steps of one table: a function has a few for each of its lines.
constexpr int kMaxSteps = 1'000'000;

constexpr std::uint32_t kMagic118 = 0xfffffff0;
constexpr std::uint32_t kMagic120 = 0xfffffff1;

}  // namespace

template <class T>
std::optional<T> GoTable::value(std::uint64_t offset) const {
  if (offset > bytes_.size() || bytes_.size() - offset < sizeof(T)) return std::nullopt;
  T result;
  std::memcpy(&result, bytes_.data() + offset, sizeof result);
  return result;
}

std::optional<GoTable> GoTable::read(const ElfImage& image) {
  for (const char* name : {".gopclntab", ".data.rel.ro.gopclntab"}) {
    const ElfSection* section = image.section(name);
    const ElfSection* text = image.section(".text");
    if (section == nullptr || text == nullptr) continue;
    return parse(image.contents(*section, kMaxTable), text->address);
  }
  return std::nullopt;
}

std::optional<GoTable> GoTable::parse(std::vector<std::byte> bytes, std::uint64_t text) {
  GoTable table;
  table.bytes_ = std::move(bytes);
  const auto magic = table.value<std::uint32_t>(0);
  const auto quantum = table.value<std::uint8_t>(6);
  const auto word = table.value<std::uint8_t>(7);
  if (!magic || (*magic != kMagic118 && *magic != kMagic120) || !word || *word != 8 ||
      *quantum == 0) {
    return std::nullopt;
  }
  table.quantum_ = *quantum;
  // nfunc, nfiles, textStart, and the offsets of names, compilation units, files, tables,
  // functions.
  std::array<std::uint64_t, 8> header{};
  for (std::size_t i = 0; i < header.size(); ++i) {
    const auto field = table.value<std::uint64_t>(8 + 8 * i);
    if (!field) return std::nullopt;
    header[i] = *field;
  }
  table.functions_ = header[0];
  table.text_ = header[2] != 0 ? header[2] : text;
  table.names_ = header[3];
  table.units_ = header[4];
  table.files_ = header[5];
  table.tables_ = header[6];
  table.lookup_ = header[7];
  const std::uint64_t size = table.bytes_.size();
  const bool fits = std::ranges::all_of(header | std::views::drop(3),
                                        [&](std::uint64_t offset) { return offset < size; });
  if (!fits || table.functions_ == 0 || table.functions_ > size / 8) return std::nullopt;
  return table;
}

// Where the function of that place in the sorted list starts; behind the last one, where code ends.
std::optional<std::uint64_t> GoTable::entry(std::uint64_t index) const {
  const auto offset = value<std::uint32_t>(lookup_ + 8 * index);
  return offset ? std::optional(text_ + *offset) : std::nullopt;
}

std::optional<GoTable::Function> GoTable::function_of(std::uint64_t address) const {
  const auto first = entry(0);
  const auto end = entry(functions_);
  if (!first || !end || address < *first || address >= *end) return std::nullopt;
  std::uint64_t low = 0;
  std::uint64_t high = functions_;  // low starts at or before the address, high behind it
  while (high - low > 1) {
    const std::uint64_t middle = low + (high - low) / 2;
    const auto start = entry(middle);
    if (!start) return std::nullopt;
    (*start <= address ? low : high) = middle;
  }
  const auto where = value<std::uint32_t>(lookup_ + 8 * low + 4);
  if (!where) return std::nullopt;
  const std::uint64_t at = lookup_ + *where;
  const auto start = value<std::uint32_t>(at);
  const auto name = value<std::int32_t>(at + 4);
  const auto frame_sizes = value<std::uint32_t>(at + 16);
  const auto files = value<std::uint32_t>(at + 20);
  const auto lines = value<std::uint32_t>(at + 24);
  const auto unit = value<std::uint32_t>(at + 32);
  if (!unit || text_ + *start > address) return std::nullopt;
  return Function{text_ + *start, *name, *frame_sizes, *files, *lines, *unit};
}

std::optional<std::uint32_t> GoTable::variable_length(std::uint64_t& at) const {
  std::uint32_t result = 0;
  for (unsigned shift = 0; shift < 32; shift += 7) {
    const auto byte = value<std::uint8_t>(at++);
    if (!byte) return std::nullopt;
    result |= static_cast<std::uint32_t>(*byte & 0x7fU) << shift;
    if ((*byte & 0x80U) == 0) return result;
  }
  return std::nullopt;
}

// Pairs of differences, of the value and of the address up to which it holds.
std::optional<std::int32_t> GoTable::table_value(std::uint32_t table, std::uint64_t start,
                                                 std::uint64_t address) const {
  if (table == 0) return std::nullopt;
  std::uint64_t at = tables_ + table;
  std::uint64_t pc = start;
  std::uint32_t result = ~std::uint32_t{0};
  for (int step = 0; step < kMaxSteps; ++step) {
    const auto change = variable_length(at);
    if (!change || (*change == 0 && step > 0)) return std::nullopt;
    const auto length = variable_length(at);
    if (!length) return std::nullopt;
    result += (*change & 1U) != 0 ? ~(*change >> 1U) : *change >> 1U;
    pc += *length * quantum_;
    if (address < pc) return static_cast<std::int32_t>(result);
  }
  return std::nullopt;
}

std::string GoTable::text_at(std::uint64_t offset) const {
  if (offset >= bytes_.size()) return "";
  const auto* from = reinterpret_cast<const char*>(bytes_.data()) + offset;
  return {from, ::strnlen(from, std::min<std::size_t>(bytes_.size() - offset, kMaxName))};
}

std::optional<GoTable::Found> GoTable::find(std::uint64_t address) const {
  const auto function = function_of(address);
  if (!function || function->name < 0) return std::nullopt;
  Found found;
  found.function = text_at(names_ + static_cast<std::uint64_t>(function->name));
  found.start = function->start;
  if (const auto line = table_value(function->lines, function->start, address)) found.line = *line;
  const auto file = table_value(function->files, function->start, address);
  if (file && *file >= 0) {
    const std::uint64_t index = std::uint64_t{function->unit} + static_cast<std::uint64_t>(*file);
    if (const auto name = value<std::uint32_t>(units_ + 4 * index); name && *name != ~0U) {
      found.file = text_at(files_ + *name);
    }
  }
  return found;
}

std::optional<std::uint64_t> GoTable::frame_size(std::uint64_t address) const {
  const auto function = function_of(address);
  if (!function) return std::nullopt;
  const auto size = table_value(function->frame_sizes, function->start, address);
  if (!size || *size < 0) return std::nullopt;
  return static_cast<std::uint64_t>(*size);
}

// Go changes stacks in these (src/runtime/traceback.go, topofstack).
bool GoTable::is_outermost(std::string_view function) {
  for (const char* name : {"runtime.goexit", "runtime.mstart", "runtime.mcall", "runtime.rt0_go",
                           "runtime.systemstack", "runtime.asmcgocall", "runtime.morestack",
                           "_rt0_amd64_linux", "runtime.sigtramp", "runtime.cgocallback"}) {
    std::string_view base = function;
    if (base.ends_with(".abi0")) base.remove_suffix(5);
    if (base == name) return true;
  }
  return false;
}

}  // namespace stucktrace::unwind
