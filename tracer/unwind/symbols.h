#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tracer/unwind/elf_image.h"

namespace stucktrace::unwind {

struct Symbol {
  std::string name;           // as people write it: demangled, without "@@VERSION"
  std::uint64_t address = 0;  // where it starts, as linked
  std::uint64_t size = 0;     // 0: the file does not say
};

// "ns::f(int)" for "_ZN2ns1fEi"; anything else stays. Input and output lengths are bounded.
std::string demangle(std::string_view name);

// The functions of one module, from any number of files that describe it (the file itself, its
// debug file). Add all, then look up.
class SymbolTable {
 public:
  // Adds .symtab and .dynsym. Returns whether .symtab was among them.
  bool add(const ElfImage& image);
  // Adds the entries of the procedure linkage table as "name@plt".
  void add_plt(const ElfImage& image);

  // The function that holds `address`. Where several names share a start, the one people use: the
  // fewest leading underscores ("read" rather than "__libc_read"), global before local.
  std::optional<Symbol> find(std::uint64_t address);

  std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    std::uint64_t address = 0;
    std::uint64_t size = 0;
    std::uint32_t strings = 0;  // index into strings_
    std::uint32_t name = 0;     // offset in it
    std::uint8_t rank = 0;      // smaller is better
  };
  void add_section(const ElfImage& image, const ElfSection& section);
  std::string_view name_of(const Entry& entry) const;
  bool better(const Entry& left, const Entry& right) const;
  void sort();

  std::vector<Entry> entries_;
  std::vector<std::vector<std::byte>> strings_;  // each ends with NUL
  bool sorted_ = true;
};

}  // namespace stucktrace::unwind
