#include "tracer/unwind/symbols.h"

#include <cxxabi.h>
#include <elf.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <unordered_map>

namespace stucktrace::unwind {
namespace {

constexpr std::uint64_t kMaxTable = 512ULL * 1024 * 1024;
constexpr std::size_t kMaxMangled = 2048;
constexpr std::size_t kMaxName = 1024;
// How far behind a symbol without a size (assembly labels) an address still counts as its own.
constexpr std::uint64_t kReachOfUnsized = 256;
// Symbols that start inside a bigger one are few; the walk back to the bigger one is bounded.
constexpr int kMaxNested = 64;

std::size_t leading_underscores(std::string_view name) {
  const std::size_t count = name.find_first_not_of('_');
  return count == std::string_view::npos ? name.size() : count;
}

#if defined(__x86_64__)
std::vector<Elf64_Rela> relocations(const ElfImage& image, std::string_view section_name) {
  const ElfSection* section = image.section(section_name);
  if (section == nullptr || section->type != SHT_RELA) return {};
  const auto raw = image.contents(*section, kMaxTable);
  std::vector<Elf64_Rela> result(raw.size() / sizeof(Elf64_Rela));
  if (!result.empty()) {
    std::memcpy(result.data(), raw.data(), result.size() * sizeof(Elf64_Rela));
  }
  return result;
}
#endif

}  // namespace

std::string demangle(std::string_view name) {
  if (name.starts_with("_Z") && name.size() <= kMaxMangled) {
    int status = 0;
    const std::unique_ptr<char, decltype(&std::free)> text(
        abi::__cxa_demangle(std::string(name).c_str(), nullptr, nullptr, &status), &std::free);
    if (status == 0 && text) return std::string(std::string_view(text.get()).substr(0, kMaxName));
  }
  return std::string(name.substr(0, kMaxName));
}

bool SymbolTable::add(const ElfImage& image) {
  bool full = false;
  for (const ElfSection& section : image.sections()) {
    if (section.type != SHT_SYMTAB && section.type != SHT_DYNSYM) continue;
    const std::size_t before = entries_.size();
    add_section(image, section);
    if (section.type == SHT_SYMTAB && entries_.size() > before) full = true;
  }
  return full;
}

void SymbolTable::add_section(const ElfImage& image, const ElfSection& section) {
  if (section.link >= image.sections().size()) return;
  const auto raw = image.contents(section, kMaxTable);
  auto names = image.contents(image.sections()[section.link], kMaxTable);
  if (raw.empty() || names.empty()) return;
  names.push_back(std::byte{0});
  const auto strings = static_cast<std::uint32_t>(strings_.size());
  entries_.reserve(entries_.size() + raw.size() / sizeof(Elf64_Sym));
  for (std::size_t at = 0; at + sizeof(Elf64_Sym) <= raw.size(); at += sizeof(Elf64_Sym)) {
    Elf64_Sym symbol;
    std::memcpy(&symbol, raw.data() + at, sizeof symbol);
    const unsigned type = ELF64_ST_TYPE(symbol.st_info);
    if (symbol.st_shndx == SHN_UNDEF || symbol.st_shndx == SHN_ABS ||
        symbol.st_name >= names.size() || names[symbol.st_name] == std::byte{0}) {
      continue;
    }
    if (type != STT_FUNC && type != STT_GNU_IFUNC && type != STT_NOTYPE) continue;
    const unsigned binding = ELF64_ST_BIND(symbol.st_info);
    const unsigned rank = (symbol.st_size == 0 ? 8U : 0U) + (type == STT_NOTYPE ? 4U : 0U) +
                          (binding == STB_GLOBAL ? 0U : (binding == STB_WEAK ? 1U : 2U));
    entries_.push_back({symbol.st_value, symbol.st_size, strings, symbol.st_name,
                        static_cast<std::uint8_t>(rank)});
  }
  strings_.push_back(std::move(names));
  sorted_ = false;
}

void SymbolTable::add_plt(const ElfImage& image) {
#if defined(__x86_64__)
  const ElfSection* dynsym = image.section_of_type(SHT_DYNSYM);
  if (dynsym == nullptr || dynsym->link >= image.sections().size()) return;
  const auto symbols = image.contents(*dynsym, kMaxTable);
  auto names = image.contents(image.sections()[dynsym->link], kMaxTable);
  names.push_back(std::byte{0});
  std::unordered_map<std::uint64_t, std::uint32_t> name_of_slot;  // GOT slot -> st_name
  for (const char* section : {".rela.plt", ".rela.dyn"}) {
    for (const Elf64_Rela& entry : relocations(image, section)) {
      const std::uint64_t type = ELF64_R_TYPE(entry.r_info);
      if (type != R_X86_64_JUMP_SLOT && type != R_X86_64_GLOB_DAT) continue;
      const std::uint64_t at = ELF64_R_SYM(entry.r_info) * sizeof(Elf64_Sym);
      if (at + sizeof(Elf64_Sym) > symbols.size()) continue;
      Elf64_Sym symbol;
      std::memcpy(&symbol, symbols.data() + at, sizeof symbol);
      if (symbol.st_name < names.size()) name_of_slot.emplace(entry.r_offset, symbol.st_name);
    }
  }
  std::vector<std::byte> texts;
  const auto strings = static_cast<std::uint32_t>(strings_.size());
  for (const char* name : {".plt", ".plt.sec", ".plt.got"}) {
    const ElfSection* section = image.section(name);
    if (section == nullptr) continue;
    const std::uint64_t step = section->entry_size == 8 ? 8 : 16;
    const auto code = image.contents(*section, kMaxTable);
    for (std::uint64_t start = 0; start + step <= code.size(); start += step) {
      // Every form of entry jumps through its slot: ff 25 disp32, relative to the next instruction.
      for (std::uint64_t at = start; at + 6 <= start + step; ++at) {
        if (code[at] != std::byte{0xff} || code[at + 1] != std::byte{0x25}) continue;
        std::int32_t displacement = 0;
        std::memcpy(&displacement, code.data() + at + 2, sizeof displacement);
        const std::uint64_t slot =
            section->address + at + 6 + static_cast<std::uint64_t>(std::int64_t{displacement});
        const auto found = name_of_slot.find(slot);
        if (found == name_of_slot.end()) break;
        const std::string text =
            std::string(reinterpret_cast<const char*>(names.data()) + found->second) + "@plt";
        entries_.push_back(
            {section->address + start, step, strings, static_cast<std::uint32_t>(texts.size()), 0});
        const auto bytes = std::as_bytes(std::span(text.c_str(), text.size() + 1));
        texts.insert(texts.end(), bytes.begin(), bytes.end());
        break;
      }
    }
  }
  texts.push_back(std::byte{0});
  strings_.push_back(std::move(texts));
  sorted_ = false;
#else
  static_cast<void>(image);
#endif
}

std::string_view SymbolTable::name_of(const Entry& entry) const {
  return reinterpret_cast<const char*>(strings_[entry.strings].data()) + entry.name;
}

bool SymbolTable::better(const Entry& left, const Entry& right) const {
  // Type and size first (rank without binding), then the spelling, then the binding.
  if (left.rank / 4 != right.rank / 4) return left.rank < right.rank;
  const std::string_view one = name_of(left), two = name_of(right);
  const std::size_t one_low = leading_underscores(one), two_low = leading_underscores(two);
  if (one_low != two_low) return one_low < two_low;
  if (left.rank != right.rank) return left.rank < right.rank;
  if (one.size() != two.size()) return one.size() < two.size();
  return one < two;
}

void SymbolTable::sort() {
  std::ranges::sort(entries_, {}, &Entry::address);
  // Keep the best name of each address.
  std::size_t kept = 0;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    if (kept > 0 && entries_[kept - 1].address == entries_[i].address) {
      if (better(entries_[i], entries_[kept - 1])) entries_[kept - 1] = entries_[i];
    } else {
      entries_[kept++] = entries_[i];
    }
  }
  entries_.resize(kept);
  sorted_ = true;
}

std::optional<Symbol> SymbolTable::find(std::uint64_t address) {
  if (!sorted_) sort();
  auto at = std::ranges::upper_bound(entries_, address, {}, &Entry::address);
  const Entry* unsized = nullptr;
  const Entry* found = nullptr;
  for (int i = 0; i < kMaxNested && at != entries_.begin(); ++i) {
    --at;
    if (at->size != 0 && address - at->address < at->size) {
      found = &*at;
      break;
    }
    if (i == 0 && at->size == 0 && address - at->address < kReachOfUnsized) unsized = &*at;
  }
  if (found == nullptr) found = unsized;
  if (found == nullptr) return std::nullopt;
  std::string_view name = name_of(*found);
  // Versioned names of .symtab ("read@@GLIBC_2.2.5"); "@plt" is ours and stays.
  if (const std::size_t version = name.find('@');
      version != std::string_view::npos && version > 0 && name.substr(version) != "@plt") {
    name = name.substr(0, version);
  }
  return Symbol{demangle(name), found->address, found->size};
}

}  // namespace stucktrace::unwind
