#include "tracer/unwind/elf_lines.h"

#include <elf.h>
#include <elfutils/libdw.h>
#include <libelf.h>

#include <algorithm>
#include <vector>

namespace stucktrace::unwind {
namespace {

constexpr std::uint64_t kMaxCompressed = 1024 * 1024;
constexpr std::uint64_t kMaxPlain = 64 * 1024 * 1024;
constexpr std::size_t kMaxUnits = 100'000;
constexpr std::size_t kMaxRanges = 1'000'000;

bool worth_reading(const ElfImage& image) {
  std::uint64_t compressed = 0, plain = 0;
  bool lines = false;
  for (const ElfSection& section : image.sections()) {
    if (!section.name.starts_with(".debug_") || section.type == SHT_NOBITS) continue;
    std::uint64_t& sum = (section.flags & SHF_COMPRESSED) != 0 ? compressed : plain;
    if (section.size > image.bytes().size()) return false;
    sum += section.size;
    lines = lines || section.name == ".debug_line";
  }
  return lines && compressed <= kMaxCompressed && plain <= kMaxPlain;
}

struct UnitRange {
  Dwarf_Addr low = 0, high = 0;
  Dwarf_Off unit = 0;
};

}  // namespace

struct LineTable::State {
  Elf* elf = nullptr;
  Dwarf* dwarf = nullptr;
  bool ranges_read = false;
  std::vector<UnitRange> ranges;

  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    if (dwarf != nullptr) dwarf_end(dwarf);
    if (elf != nullptr) elf_end(elf);
  }

  // For compilers that write no .debug_aranges (clang): the units' own ranges, read once.
  void read_ranges() {
    ranges_read = true;
    Dwarf_CU* unit = nullptr;
    Dwarf_Half version = 0;
    std::uint8_t type = 0;
    Dwarf_Die die{};
    for (std::size_t i = 0; i < kMaxUnits; ++i) {
      if (dwarf_get_units(dwarf, unit, &unit, &version, &type, &die, nullptr) != 0) break;
      Dwarf_Addr base = 0, low = 0, high = 0;
      for (ptrdiff_t at = 0; ranges.size() < kMaxRanges;) {
        at = dwarf_ranges(&die, at, &base, &low, &high);
        if (at <= 0) break;
        ranges.push_back({low, high, dwarf_dieoffset(&die)});
      }
    }
    std::ranges::sort(ranges, {}, &UnitRange::low);
  }

  Dwarf_Die* unit_of(Dwarf_Addr address, Dwarf_Die& storage) {
    if (Dwarf_Die* found = dwarf_addrdie(dwarf, address, &storage)) return found;
    if (!ranges_read) read_ranges();
    const auto after = std::ranges::upper_bound(ranges, address, {}, &UnitRange::low);
    if (after == ranges.begin() || address >= (after - 1)->high) return nullptr;
    return dwarf_offdie(dwarf, (after - 1)->unit, &storage);
  }
};

LineTable::LineTable(std::unique_ptr<State> state) : state_(std::move(state)) {}
LineTable::~LineTable() = default;

std::unique_ptr<LineTable> LineTable::open(const ElfImage& image) {
  if (image.bytes().fd() < 0 || !worth_reading(image)) return nullptr;
  elf_version(EV_CURRENT);
  auto state = std::make_unique<State>();
  // ELF_C_READ, not the mapping variant: a file cut meanwhile must not become SIGBUS.
  state->elf = elf_begin(image.bytes().fd(), ELF_C_READ, nullptr);
  if (state->elf == nullptr) return nullptr;
  state->dwarf = dwarf_begin_elf(state->elf, DWARF_C_READ, nullptr);
  if (state->dwarf == nullptr) return nullptr;
  return std::unique_ptr<LineTable>(new LineTable(std::move(state)));
}

std::optional<SourceLine> LineTable::find(std::uint64_t address) {
  Dwarf_Die storage{};
  Dwarf_Die* unit = state_->unit_of(address, storage);
  if (unit == nullptr) return std::nullopt;
  Dwarf_Line* line = dwarf_getsrc_die(unit, address);
  int number = 0;
  if (line == nullptr || dwarf_lineno(line, &number) != 0 || number <= 0) return std::nullopt;
  const char* file = dwarf_linesrc(line, nullptr, nullptr);
  if (file == nullptr) return std::nullopt;
  constexpr std::size_t kMaxPath = 4096;
  return SourceLine{std::string(std::string_view(file).substr(0, kMaxPath)), number};
}

}  // namespace stucktrace::unwind
