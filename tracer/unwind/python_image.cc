#include "tracer/unwind/python_image.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

#include "tracer/base/unique_fd.h"

namespace stucktrace::unwind {
namespace {

constexpr std::uint64_t kPageMask = 4095;

// The mapped file itself. /proc/PID/exe and map_files reach it even where it has been deleted or
// replaced, and through any mount namespace; the path is for those who may not use map_files.
base::UniqueFd open_mapped(const kernel::Procfs& procfs, base::Pid pid,
                           const kernel::MapEntry& entry, bool is_executable) {
  const auto attempt = [&](const std::string& below) {
    base::UniqueFd fd{::open(procfs.path(below).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    struct stat info;
    // Another file may have the path by now.
    const bool same = fd.valid() && ::fstat(fd.get(), &info) == 0 && S_ISREG(info.st_mode) &&
                      info.st_ino == entry.inode;
    return same ? std::move(fd) : base::UniqueFd{};
  };
  if (is_executable) {
    if (auto fd = attempt(fmt::format("{}/exe", pid)); fd.valid()) return fd;
  }
  auto fd = attempt(fmt::format("{}/map_files/{:x}-{:x}", pid, entry.start, entry.end));
  if (fd.valid()) return fd;
  return attempt(fmt::format("{}/root{}", pid, entry.path));
}

ElfFile::ReadAt reader(base::UniqueFd owned) {
  const auto fd = std::make_shared<base::UniqueFd>(std::move(owned));
  return [fd](std::uint64_t offset, std::span<std::byte> out) {
    std::size_t done = 0;
    while (done < out.size()) {
      const ssize_t got = ::pread(fd->get(), out.data() + done, out.size() - done,
                                  static_cast<off_t>(offset + done));
      if (got <= 0) return false;
      done += static_cast<std::size_t>(got);
    }
    return true;
  };
}

// What has to be added to an address in the file, from any one mapping of it.
std::optional<std::uint64_t> load_bias(const ElfFile& file, const kernel::MapEntry& entry) {
  for (const ElfFile::Segment& segment : file.segments()) {
    if ((segment.offset & ~kPageMask) != entry.offset) continue;
    return entry.start - (segment.address & ~kPageMask);
  }
  return std::nullopt;
}

std::string_view base_name(std::string_view path) {
  return path.substr(path.rfind('/') + 1);
}

bool may_have_data(std::string_view name) {
  static constexpr std::array<std::string_view, 3> kNames = {"libpython", "python", "_asyncio."};
  return std::ranges::any_of(kNames, [&](auto start) { return name.starts_with(start); });
}

struct Wanted {
  std::string_view name;
  std::uint64_t PythonImage::* field;
};
constexpr Wanted kWanted[] = {
    {"_PyRuntime", &PythonImage::runtime},
    {"_PyThreadState_Current", &PythonImage::current_thread},
    {"interp_head", &PythonImage::interpreters},
    {"PyInterpreterState_Head", &PythonImage::interpreters_fn},
    {"_Py_Finalizing", &PythonImage::finalizing},
    {"Py_Version", &PythonImage::version},
};

}  // namespace

PythonImage read_python_image(const ElfFile& file, std::string path, std::uint64_t bias) {
  PythonImage image;
  image.path = std::move(path);
  image.machine = file.machine();
  const auto take = [&](std::string_view name, std::uint64_t address) {
    for (const Wanted& wanted : kWanted) {
      if (name == wanted.name && image.*wanted.field == 0) image.*wanted.field = bias + address;
    }
    // 2.7 tells the width of its unicode objects by the names of its functions.
    if (name.starts_with("PyUnicodeUCS2_")) image.unicode_width = 2;
  };
  file.symbols(ElfFile::Table::kDynamic, take);
  // interp_head is a local symbol; a static interpreter may export nothing at all.
  if (image.runtime == 0) file.symbols(ElfFile::Table::kFull, take);
  if (image.runtime == 0) {
    if (const auto address = file.section_address(".PyRuntime")) image.runtime = bias + *address;
  }
  if (const auto address = file.section_address(".AsyncioDebug")) image.asyncio = bias + *address;
  constexpr std::uint64_t kMostData = 64u << 20;
  for (const ElfFile::Segment& segment : file.segments()) {
    if (!segment.writable) continue;
    image.writable.push_back({bias + segment.address, std::min(segment.memory_size, kMostData)});
  }
  return image;
}

base::Result<PythonMappings> find_python_images(const kernel::Procfs& procfs, base::Pid pid) {
  const auto maps = procfs.maps(pid);
  if (!maps) return base::Failure{maps.error()};
  struct stat executable = {};
  const bool has_executable =
      ::stat(procfs.path(fmt::format("{}/exe", pid)).c_str(), &executable) == 0;
  PythonMappings result;
  std::vector<const kernel::MapEntry*> files;  // the lowest mapping of each
  for (const kernel::MapEntry& entry : *maps) {
    if (entry.readable && entry.writable && !entry.shared && entry.inode == 0) {
      result.heap.push_back({entry.start, entry.end - entry.start});
    }
    if (entry.inode == 0 || entry.path.empty()) continue;
    const bool known = std::ranges::any_of(files, [&](const auto* other) {
      return other->inode == entry.inode && other->device_major == entry.device_major &&
             other->device_minor == entry.device_minor;
    });
    const bool is_executable = has_executable && executable.st_ino == entry.inode;
    if (known || (!is_executable && !may_have_data(base_name(entry.path)))) continue;
    if (is_executable) {
      files.insert(files.begin(), &entry);
    } else {
      files.push_back(&entry);
    }
  }
  std::uint64_t asyncio = 0;
  for (const kernel::MapEntry* entry : files) {
    const bool is_executable = has_executable && executable.st_ino == entry->inode;
    base::UniqueFd fd = open_mapped(procfs, pid, *entry, is_executable);
    if (!fd.valid()) continue;
    const auto file = ElfFile::parse(reader(std::move(fd)));
    const auto bias = file ? load_bias(*file, *entry) : std::nullopt;
    if (!bias) continue;
    PythonImage image = read_python_image(*file, entry->path, *bias);
    if (image.asyncio != 0) asyncio = image.asyncio;
    if (image.is_interpreter()) result.images.push_back(std::move(image));
  }
  for (PythonImage& image : result.images) image.asyncio = asyncio;
  return result;
}

std::uint64_t interpreters_from_code(const syscalls::RemoteMemory& memory, std::uint64_t function) {
  // x86-64: an optional endbr64, then "mov displacement(%rip), %rax; ret".
  constexpr std::array<std::uint8_t, 4> kEndbr = {0xf3, 0x0f, 0x1e, 0xfa};
  constexpr std::array<std::uint8_t, 3> kLoad = {0x48, 0x8b, 0x05};
  constexpr std::uint8_t kReturn = 0xc3;
  std::array<std::uint8_t, 16> code{};
  if (function == 0) return 0;
  if (!memory.read_value(base::RemoteAddr{function}, code)) return 0;
  std::size_t at = std::equal(kEndbr.begin(), kEndbr.end(), code.begin()) ? kEndbr.size() : 0;
  if (!std::equal(kLoad.begin(), kLoad.end(), code.begin() + static_cast<std::ptrdiff_t>(at))) {
    return 0;
  }
  at += kLoad.size();
  std::int32_t displacement = 0;
  std::memcpy(&displacement, code.data() + at, sizeof displacement);
  at += sizeof displacement;
  if (code[at] != kReturn) return 0;
  return function + at + static_cast<std::uint64_t>(static_cast<std::int64_t>(displacement));
}

}  // namespace stucktrace::unwind
