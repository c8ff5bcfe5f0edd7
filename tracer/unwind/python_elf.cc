#include "tracer/unwind/python_elf.h"

#include <elf.h>

#include <cstring>
#include <utility>

#include "tracer/base/bytes.h"

namespace stucktrace::unwind {
namespace {

constexpr std::uint64_t kMaxTable = 32u << 20;
constexpr std::size_t kMaxSegments = 128;
constexpr std::size_t kMaxSections = 4096;

template <class T>
std::span<std::byte> raw(std::vector<T>& values) {
  return std::as_writable_bytes(std::span{values});
}

// The C string at `offset` of a string table; "" where it does not end inside.
std::string_view string_at(std::span<const std::byte> table, std::uint64_t offset) {
  if (offset >= table.size()) return {};
  const std::string_view rest = base::as_text(table.subspan(offset));
  const std::size_t end = rest.find('\0');
  return end == std::string_view::npos ? std::string_view{} : rest.substr(0, end);
}

}  // namespace

std::optional<ElfFile> ElfFile::parse(ReadAt read) {
  Elf64_Ehdr header;
  if (!read(0, std::as_writable_bytes(std::span{&header, 1}))) return std::nullopt;
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) return std::nullopt;
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB) {
    return std::nullopt;
  }
  if (header.e_phnum > kMaxSegments || header.e_phentsize != sizeof(Elf64_Phdr)) {
    return std::nullopt;
  }
  ElfFile file;
  file.machine_ = header.e_machine;
  std::vector<Elf64_Phdr> programs(header.e_phnum);
  if (!read(header.e_phoff, raw(programs))) return std::nullopt;
  for (const Elf64_Phdr& program : programs) {
    if (program.p_type != PT_LOAD) continue;
    file.segments_.push_back({program.p_offset, program.p_vaddr, program.p_filesz, program.p_memsz,
                              (program.p_flags & PF_W) != 0});
  }
  // A file without section headers still has its segments.
  if (header.e_shnum > 0 && header.e_shnum <= kMaxSections &&
      header.e_shentsize == sizeof(Elf64_Shdr)) {
    std::vector<Elf64_Shdr> sections(header.e_shnum);
    if (read(header.e_shoff, raw(sections))) {
      for (const Elf64_Shdr& section : sections) {
        file.sections_.push_back({section.sh_name, section.sh_type, section.sh_link,
                                  section.sh_addr, section.sh_offset, section.sh_size});
      }
      file.names_ = header.e_shstrndx;
    }
  }
  file.read_ = std::move(read);
  return file;
}

std::optional<std::vector<std::byte>> ElfFile::load(const Section& section,
                                                    std::uint64_t limit) const {
  if (section.size > limit || section.type == SHT_NOBITS) return std::nullopt;
  std::vector<std::byte> bytes(section.size);
  if (!read_(section.offset, bytes)) return std::nullopt;
  return bytes;
}

void ElfFile::symbols(Table table,
                      const std::function<void(std::string_view, std::uint64_t)>& visit) const {
  const std::uint32_t wanted = table == Table::kDynamic ? SHT_DYNSYM : SHT_SYMTAB;
  for (const Section& section : sections_) {
    if (section.type != wanted || section.link >= sections_.size()) continue;
    const auto entries = load(section, kMaxTable);
    const auto names = load(sections_[section.link], kMaxTable);
    if (!entries || !names) continue;
    base::ByteCursor cursor{*entries};
    while (const auto symbol = cursor.read<Elf64_Sym>()) {
      if (symbol->st_shndx == SHN_UNDEF || symbol->st_value == 0) continue;
      const std::string_view name = string_at(*names, symbol->st_name);
      if (!name.empty()) visit(name, symbol->st_value);
    }
  }
}

std::optional<std::uint64_t> ElfFile::section_address(std::string_view name) const {
  if (names_ >= sections_.size()) return std::nullopt;
  const auto names = load(sections_[names_], kMaxTable);
  if (!names) return std::nullopt;
  for (const Section& section : sections_) {
    if (section.address != 0 && string_at(*names, section.name) == name) return section.address;
  }
  return std::nullopt;
}

}  // namespace stucktrace::unwind
