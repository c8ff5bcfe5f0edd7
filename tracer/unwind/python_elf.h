#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace stucktrace::unwind {

// Just enough of a 64-bit little-endian ELF file to find named data in it. The bytes are hostile:
// every offset is checked, every table has a limit.
class ElfFile {
 public:
  // Fills `out` from a file offset; false unless all of it could be read. Called during parse()
  // and during symbols().
  using ReadAt = std::function<bool(std::uint64_t offset, std::span<std::byte> out)>;

  struct Segment {  // PT_LOAD
    std::uint64_t offset = 0, address = 0, file_size = 0, memory_size = 0;
    bool writable = false;
  };
  struct Section {
    std::uint32_t name = 0, type = 0, link = 0;
    std::uint64_t address = 0, offset = 0, size = 0;
  };
  enum class Table { kDynamic, kFull };  // .dynsym, .symtab

  // nullopt: not such a file.
  static std::optional<ElfFile> parse(ReadAt read);

  std::uint16_t machine() const { return machine_; }
  const std::vector<Segment>& segments() const { return segments_; }
  // Calls `visit(name, address)` for each defined symbol with a name; a missing or oversized table
  // gives none.
  void symbols(Table table,
               const std::function<void(std::string_view, std::uint64_t)>& visit) const;
  // Address of a section by name.
  std::optional<std::uint64_t> section_address(std::string_view name) const;

 private:
  std::optional<std::vector<std::byte>> load(const Section& section, std::uint64_t limit) const;

  ReadAt read_;
  std::uint16_t machine_ = 0;
  std::vector<Segment> segments_;
  std::vector<Section> sections_;
  std::uint32_t names_ = 0;  // index of the section that holds section names
};

}  // namespace stucktrace::unwind
