#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tracer/base/result.h"
#include "tracer/unwind/elf_bytes.h"

namespace stucktrace::unwind {

struct ElfSegment {  // PT_LOAD; addresses as linked
  std::uint64_t address = 0;
  std::uint64_t offset = 0;
  std::uint64_t file_size = 0;
  std::uint64_t memory_size = 0;
  bool executable = false;
};

struct ElfSection {
  std::string name;
  std::uint32_t type = 0;
  std::uint64_t flags = 0;
  std::uint64_t address = 0;
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
  std::uint64_t entry_size = 0;
  std::uint32_t link = 0;
};

// Where the binary search table of .eh_frame_hdr lies (LSB, "Exception Frames"); as linked.
struct UnwindTable {
  std::uint64_t header = 0;   // base of the table's relative entries
  std::uint64_t entries = 0;  // address of the first entry
  std::uint64_t count = 0;
};

// A 64-bit ELF file of this machine's byte order, read with suspicion: counts and offsets are
// checked against the file before use, what does not fit is left out.
class ElfImage {
 public:
  // kMalformed: not ELF. kUnsupported: another class or byte order than ours.
  static base::Result<ElfImage> parse(ElfBytes bytes);

  std::span<const ElfSegment> segments() const { return segments_; }
  std::span<const ElfSection> sections() const { return sections_; }
  const ElfSection* section(std::string_view name) const;
  const ElfSection* section_of_type(std::uint32_t type) const;
  // Raw bytes of the GNU build id; "" none.
  const std::string& build_id() const { return build_id_; }
  const std::optional<UnwindTable>& unwind_table() const { return unwind_table_; }
  // Lies in memory where it was linked to (ET_EXEC), with its addresses in its code.
  bool fixed() const { return fixed_; }
  // Where the program starts, as linked; 0 none.
  std::uint64_t entry() const { return entry_; }
  const ElfBytes& bytes() const { return bytes_; }

  // Reads at a linked address; only what the file holds (.bss is not there). May be short.
  std::size_t read_address(std::uint64_t address, std::span<std::byte> out) const;
  // Whole contents, empty where the section is absent, compressed, larger than `limit` or cut.
  std::vector<std::byte> contents(const ElfSection& section, std::uint64_t limit) const;
  // Start of the function that holds a linked address, by the unwind table.
  std::optional<std::uint64_t> function_start(std::uint64_t address) const;
  // Linked address of a file offset, by the segment that holds it.
  std::optional<std::uint64_t> address_of_offset(std::uint64_t offset) const;

 private:
  explicit ElfImage(ElfBytes bytes) : bytes_(std::move(bytes)) {}
  void read_segments(std::uint64_t table, std::size_t entry_size, std::size_t count);
  void read_sections(std::uint64_t table, std::size_t entry_size, std::size_t count,
                     std::size_t names);
  void read_notes(std::uint64_t offset, std::uint64_t size);
  void read_unwind_header(std::uint64_t address);

  ElfBytes bytes_;
  bool fixed_ = false;
  std::uint64_t entry_ = 0;
  std::vector<ElfSegment> segments_;
  std::vector<ElfSection> sections_;
  std::string build_id_;
  std::optional<UnwindTable> unwind_table_;
};

}  // namespace stucktrace::unwind
