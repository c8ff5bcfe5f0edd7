#include "tracer/unwind/elf_debug.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <array>
#include <cstdint>

#include "tracer/base/bytes.h"

namespace stucktrace::unwind {
namespace {

constexpr std::uint64_t kMaxChecked = 256ULL * 1024 * 1024;

struct DebugLink {
  std::string name;
  std::uint32_t checksum = 0;
};

// .gnu_debuglink: a file name, NUL, padding to four bytes, CRC-32 of the debug file.
std::optional<DebugLink> debug_link(const ElfImage& image) {
  const ElfSection* section = image.section(".gnu_debuglink");
  if (section == nullptr) return std::nullopt;
  const auto raw = image.contents(*section, 4096);
  const std::size_t length = base::as_text(raw).find('\0');
  if (length == std::string_view::npos || length == 0) return std::nullopt;
  DebugLink link{std::string(base::as_text(raw).substr(0, length)), 0};
  // A name that leaves its directory is no debug link.
  if (link.name.find('/') != std::string::npos) return std::nullopt;
  base::ByteCursor cursor(raw);
  if (!cursor.seek((length + 4) & ~std::size_t{3})) return std::nullopt;
  const auto checksum = cursor.read<std::uint32_t>();
  if (!checksum) return std::nullopt;
  link.checksum = *checksum;
  return link;
}

std::uint32_t crc32(const ElfBytes& bytes) {
  constexpr auto kTable = [] {
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t i = 0; i < table.size(); ++i) {
      std::uint32_t value = i;
      for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) ? 0xedb88320U : 0U);
      table[i] = value;
    }
    return table;
  }();
  std::vector<std::byte> buffer(256 * 1024);
  std::uint32_t sum = ~std::uint32_t{0};
  for (std::uint64_t at = 0; at < bytes.size();) {
    const std::size_t got = bytes.read_uncached(at, buffer);
    if (got == 0) break;
    for (std::size_t i = 0; i < got; ++i) {
      sum = (sum >> 8) ^ kTable[(sum ^ static_cast<std::uint8_t>(buffer[i])) & 0xff];
    }
    at += got;
  }
  return ~sum;
}

bool belongs(const ElfImage& image, const ElfImage& debug, const std::optional<DebugLink>& link) {
  if (!image.build_id().empty()) return debug.build_id() == image.build_id();
  return link && debug.bytes().size() <= kMaxChecked && crc32(debug.bytes()) == link->checksum;
}

}  // namespace

base::Result<ElfImage> open_elf(const std::string& path) {
  // O_NONBLOCK: a path of another process may be a fifo.
  base::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd.valid()) return base::system_error("open " + path, base::Errno::last());
  struct stat status{};
  if (::fstat(fd.get(), &status) != 0) {
    return base::system_error("stat " + path, base::Errno::last());
  }
  if (!S_ISREG(status.st_mode)) return base::malformed(path + ": not a regular file");
  return ElfImage::parse(ElfBytes(std::move(fd), static_cast<std::uint64_t>(status.st_size)));
}

std::optional<ElfImage> find_debug_file(const ElfImage& image, std::string_view module_path,
                                        const std::vector<std::string>& roots) {
  std::vector<std::string> names;
  const std::string& id = image.build_id();
  if (id.size() >= 2) {
    std::string hex;
    for (const char byte : id) hex += fmt::format("{:02x}", static_cast<unsigned char>(byte));
    names.push_back(
        fmt::format("/usr/lib/debug/.build-id/{}/{}.debug", hex.substr(0, 2), hex.substr(2)));
  }
  const auto link = debug_link(image);
  if (link && module_path.starts_with('/')) {
    const std::string folder(module_path.substr(0, module_path.rfind('/')));
    names.push_back("/usr/lib/debug" + folder + "/" + link->name);
    names.push_back(folder + "/.debug/" + link->name);
    names.push_back(folder + "/" + link->name);
  }
  for (const std::string& name : names) {
    for (const std::string& root : roots) {
      auto debug = open_elf(root + name);
      if (debug && belongs(image, *debug, link)) return std::move(*debug);
    }
  }
  return std::nullopt;
}

}  // namespace stucktrace::unwind
