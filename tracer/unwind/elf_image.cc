#include "tracer/unwind/elf_image.h"

#include <elf.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "tracer/base/bytes.h"

namespace stucktrace::unwind {
namespace {

constexpr std::size_t kMaxSegments = 256;
constexpr std::size_t kMaxSections = 65536;
constexpr std::uint64_t kMaxNotes = 64 * 1024;
constexpr std::uint64_t kMaxSectionNames = 16 * 1024 * 1024;

std::string name_at(std::span<const std::byte> table, std::uint64_t offset) {
  if (offset >= table.size()) return {};
  const auto* start = reinterpret_cast<const char*>(table.data()) + offset;
  return {start, ::strnlen(start, table.size() - static_cast<std::size_t>(offset))};
}

// A pointer of .eh_frame_hdr: only the encodings linkers write there.
std::optional<std::uint64_t> read_encoded(const ElfImage& image, std::uint8_t encoding,
                                          std::uint64_t header, std::uint64_t& address) {
  constexpr std::uint8_t kData4Unsigned = 0x03, kData8Unsigned = 0x04, kData4 = 0x0b, kData8 = 0x0c;
  constexpr std::uint8_t kPcRelative = 0x10, kDataRelative = 0x30;
  std::uint64_t value = 0;
  const std::uint64_t at = address;
  const std::uint8_t form = encoding & 0x0f;
  if (form == kData4 || form == kData4Unsigned) {
    std::int32_t word = 0;
    if (image.read_address(at, std::as_writable_bytes(std::span{&word, 1})) != sizeof word) {
      return std::nullopt;
    }
    value = form == kData4 ? static_cast<std::uint64_t>(static_cast<std::int64_t>(word))
                           : static_cast<std::uint32_t>(word);
    address += sizeof word;
  } else if (form == kData8 || form == kData8Unsigned || form == 0) {
    if (image.read_address(at, std::as_writable_bytes(std::span{&value, 1})) != sizeof value) {
      return std::nullopt;
    }
    address += sizeof value;
  } else {
    return std::nullopt;
  }
  switch (encoding & 0x70) {
    case 0:
      return value;
    case kPcRelative:
      return value + at;
    case kDataRelative:
      return value + header;
    default:
      return std::nullopt;
  }
}

}  // namespace

base::Result<ElfImage> ElfImage::parse(ElfBytes bytes) {
  const auto header = bytes.read_value<Elf64_Ehdr>(0);
  const auto ident = bytes.read_value<std::array<unsigned char, EI_NIDENT>>(0);
  if (!ident || std::memcmp(ident->data(), ELFMAG, SELFMAG) != 0) {
    return base::malformed("ELF header");
  }
  constexpr unsigned char kOrder =
      std::endian::native == std::endian::little ? ELFDATA2LSB : ELFDATA2MSB;
  if ((*ident)[EI_CLASS] != ELFCLASS64 || (*ident)[EI_DATA] != kOrder) {
    return base::Failure(base::Error{.kind = base::ErrorKind::kUnsupported,
                                     .operation = "an ELF file that is not 64-bit",
                                     .code = {},
                                     .tid = {},
                                     .hint = {}});
  }
  if (!header) return base::malformed("ELF header");
  ElfImage image(std::move(bytes));
  image.fixed_ = header->e_type == ET_EXEC;
  image.entry_ = header->e_entry;
  // Sections before segments: the segments need nothing of them, notes may be found by either.
  std::size_t sections = header->e_shnum;
  if (sections == 0 && header->e_shoff != 0) {  // more than 0xff00 sections: elf(5), e_shnum
    if (const auto first = image.bytes_.read_value<Elf64_Shdr>(header->e_shoff)) {
      sections = static_cast<std::size_t>(first->sh_size);
    }
  }
  image.read_sections(header->e_shoff, header->e_shentsize, sections, header->e_shstrndx);
  image.read_segments(header->e_phoff, header->e_phentsize, header->e_phnum);
  return image;
}

void ElfImage::read_segments(std::uint64_t table, std::size_t entry_size, std::size_t count) {
  if (entry_size < sizeof(Elf64_Phdr) || table > bytes_.size()) return;
  std::optional<std::uint64_t> unwind_header;
  for (std::size_t i = 0; i < std::min(count, kMaxSegments); ++i) {
    const auto entry = bytes_.read_value<Elf64_Phdr>(table + i * entry_size);
    if (!entry) break;
    if (entry->p_type == PT_LOAD) {
      segments_.push_back({entry->p_vaddr, entry->p_offset, entry->p_filesz, entry->p_memsz,
                           (entry->p_flags & PF_X) != 0});
    } else if (entry->p_type == PT_NOTE) {
      read_notes(entry->p_offset, entry->p_filesz);
    } else if (entry->p_type == PT_GNU_EH_FRAME) {
      unwind_header = entry->p_vaddr;
    }
  }
  if (unwind_header) read_unwind_header(*unwind_header);
}

void ElfImage::read_sections(std::uint64_t table, std::size_t entry_size, std::size_t count,
                             std::size_t names) {
  if (table == 0 || entry_size < sizeof(Elf64_Shdr) || table > bytes_.size()) return;
  count = std::min(count, kMaxSections);
  std::vector<Elf64_Shdr> headers;
  for (std::size_t i = 0; i < count; ++i) {
    const auto entry = bytes_.read_value<Elf64_Shdr>(table + i * entry_size);
    if (!entry) return;
    headers.push_back(*entry);
  }
  if (names >= headers.size()) return;
  ElfSection strings;
  strings.type = headers[names].sh_type;
  strings.offset = headers[names].sh_offset;
  strings.size = headers[names].sh_size;
  const auto text = contents(strings, kMaxSectionNames);
  for (const Elf64_Shdr& entry : headers) {
    sections_.push_back({name_at(text, entry.sh_name), entry.sh_type, entry.sh_flags, entry.sh_addr,
                         entry.sh_offset, entry.sh_size, entry.sh_entsize, entry.sh_link});
    if (entry.sh_type == SHT_NOTE) read_notes(entry.sh_offset, entry.sh_size);
  }
}

void ElfImage::read_notes(std::uint64_t offset, std::uint64_t size) {
  if (!build_id_.empty() || size > kMaxNotes) return;
  std::vector<std::byte> raw(static_cast<std::size_t>(size));
  raw.resize(bytes_.read(offset, raw));
  base::ByteCursor cursor(raw);
  const auto padded = [](std::uint32_t length) {
    return (std::size_t{length} + 3) & ~std::size_t{3};
  };
  while (const auto note = cursor.read<Elf64_Nhdr>()) {
    const auto name = cursor.read_bytes(padded(note->n_namesz));
    if (!name) return;
    const auto value = cursor.read_bytes(std::min(padded(note->n_descsz), cursor.remaining()));
    if (!value || value->size() < note->n_descsz) return;
    if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 &&
        std::memcmp(name->data(), "GNU", 4) == 0) {
      build_id_ = base::as_text(value->first(note->n_descsz));
      return;
    }
  }
}

void ElfImage::read_unwind_header(std::uint64_t address) {
  std::array<std::uint8_t, 4> head{};  // version, and three pointer encodings
  if (read_address(address, std::as_writable_bytes(std::span{head})) != head.size()) return;
  constexpr std::uint8_t kSortedTable = 0x3b;  // DW_EH_PE_datarel | DW_EH_PE_sdata4
  if (head[0] != 1 || head[3] != kSortedTable) return;
  std::uint64_t at = address + head.size();
  if (!read_encoded(*this, head[1], address, at)) return;  // where .eh_frame starts: not needed
  const auto count = read_encoded(*this, head[2], address, at);
  // Eight bytes per entry: a table that does not fit the file is not one.
  if (!count || *count == 0 || *count > bytes_.size() / 8) return;
  unwind_table_ = UnwindTable{address, at, *count};
}

const ElfSection* ElfImage::section(std::string_view name) const {
  const auto found = std::ranges::find(sections_, name, &ElfSection::name);
  return found == sections_.end() ? nullptr : &*found;
}

const ElfSection* ElfImage::section_of_type(std::uint32_t type) const {
  const auto found = std::ranges::find(sections_, type, &ElfSection::type);
  return found == sections_.end() ? nullptr : &*found;
}

std::size_t ElfImage::read_address(std::uint64_t address, std::span<std::byte> out) const {
  for (const ElfSegment& segment : segments_) {
    const std::uint64_t inside = address - segment.address;
    if (address < segment.address || inside >= segment.file_size) continue;
    const std::size_t count =
        static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), segment.file_size - inside));
    return bytes_.read(segment.offset + inside, out.first(count));
  }
  return 0;
}

std::vector<std::byte> ElfImage::contents(const ElfSection& section, std::uint64_t limit) const {
  if (section.type == SHT_NOBITS || (section.flags & SHF_COMPRESSED) != 0 || section.size > limit ||
      section.offset > bytes_.size() || section.size > bytes_.size() - section.offset) {
    return {};
  }
  std::vector<std::byte> result(static_cast<std::size_t>(section.size));
  if (bytes_.read_uncached(section.offset, result) != result.size()) return {};
  return result;
}

std::optional<std::uint64_t> ElfImage::function_start(std::uint64_t address) const {
  if (!unwind_table_) return std::nullopt;
  // Entries are pairs of words relative to the header, sorted by the first: function, its FDE.
  std::uint64_t low = 0, high = unwind_table_->count;
  std::optional<std::uint64_t> start;
  while (low < high) {
    const std::uint64_t middle = low + (high - low) / 2;
    std::int32_t relative = 0;
    if (read_address(unwind_table_->entries + middle * 8,
                     std::as_writable_bytes(std::span{&relative, 1})) != sizeof relative) {
      return std::nullopt;
    }
    const std::uint64_t function =
        unwind_table_->header + static_cast<std::uint64_t>(std::int64_t{relative});
    if (function <= address) {
      start = function;
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return start;
}

std::optional<std::uint64_t> ElfImage::address_of_offset(std::uint64_t offset) const {
  for (const ElfSegment& segment : segments_) {
    if (offset >= segment.offset && offset - segment.offset < segment.file_size) {
      return segment.address + (offset - segment.offset);
    }
  }
  return std::nullopt;
}

}  // namespace stucktrace::unwind
