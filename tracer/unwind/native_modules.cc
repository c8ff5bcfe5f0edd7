#include "tracer/unwind/native_modules.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "tracer/kernel/procfs.h"
#include "tracer/kernel/remote_memory.h"

namespace stucktrace::unwind {
namespace {

constexpr std::size_t kMaxMaps = 64 * 1024 * 1024;
constexpr std::uint64_t kMaxImage = 32 * 1024 * 1024;  // of a file read from memory
constexpr std::string_view kDeleted = " (deleted)";

// Compares a page, to recognise a file whose inode number in the maps is not the one that stat(2)
// gives (overlay and btrfs subvolumes).
bool same_as_in_memory(const ElfImage& image, const kernel::MapEntry& entry, base::Tid tid) {
  std::array<std::byte, 4096> live{}, file{};
  const std::size_t count = kernel::ProcessMemory(tid).read(base::RemoteAddr{entry.start}, live);
  return !entry.writable && count == live.size() &&
         image.bytes().read(entry.offset, file) == file.size() && live == file;
}

}  // namespace

std::string NativeMapping::file_path() const {
  std::string_view path = entry.path;
  if (path.ends_with(kDeleted)) path.remove_suffix(kDeleted.size());
  return std::string(path);
}

std::optional<std::uint64_t> NativeMapping::linked(std::uint64_t address) const {
  if (!module) return std::nullopt;
  return module->image().address_of_offset(address - entry.start + entry.offset);
}

base::Result<void> NativeModules::reload(base::Tid tid) {
  const auto text = kernel::Procfs().text(fmt::format("{}/task/{}/maps", pid_, tid), kMaxMaps);
  if (!text) return base::Failure(text.error());
  mappings_.clear();
  last_ = 0;
  for (kernel::MapEntry& entry : kernel::parse_maps(*text)) {
    if (entry.start < entry.end) mappings_.push_back({std::move(entry), false, nullptr});
  }
  std::ranges::sort(mappings_, {}, [](const NativeMapping& one) { return one.entry.start; });
  return {};
}

NativeMapping* NativeModules::find(std::uint64_t address) {
  const auto holds = [address](const NativeMapping& one) {
    return one.entry.start <= address && address < one.entry.end;
  };
  if (last_ < mappings_.size() && holds(mappings_[last_])) return &mappings_[last_];
  const auto after = std::ranges::upper_bound(
      mappings_, address, {}, [](const NativeMapping& one) { return one.entry.start; });
  if (after == mappings_.begin() || !holds(*(after - 1))) return nullptr;
  last_ = static_cast<std::size_t>(after - 1 - mappings_.begin());
  return &mappings_[last_];
}

NativeMapping* NativeModules::find_with_module(std::uint64_t address, base::Tid tid) {
  NativeMapping* mapping = find(address);
  if (mapping != nullptr && !mapping->tried) open_module(*mapping, tid);
  return mapping;
}

void NativeModules::open_module(NativeMapping& mapping, base::Tid tid) {
  mapping.tried = true;
  const kernel::MapEntry& entry = mapping.entry;
  const bool vdso = entry.path == "[vdso]";
  if (!vdso && (entry.inode == 0 || !entry.path.starts_with('/'))) return;
  const auto key = std::pair{entry.inode, entry.path};
  if (const auto known = opened_.find(key); known != opened_.end()) {
    mapping.module = known->second;
    return;
  }
  if (!vdso) mapping.module = open_file(mapping, tid);
  if (!mapping.module) mapping.module = read_from_memory(mapping, tid);
  opened_.emplace(key, mapping.module);
}

std::shared_ptr<ElfModule> NativeModules::open_file(const NativeMapping& mapping, base::Tid tid) {
  const kernel::MapEntry& entry = mapping.entry;
  const std::string task = fmt::format("/proc/{}/task/{}", pid_, tid);
  const std::string root = task + "/root";
  const std::string path = mapping.file_path();
  const std::vector<std::string> roots{root, ""};
  // map_files is a directory of the process, not of the thread.
  const std::string map_file =
      fmt::format("/proc/{}/map_files/{:x}-{:x}", pid_, entry.start, entry.end);
  auto module = files_->open(map_file, std::nullopt, path, roots);
  if (!module) module = files_->open(task + "/exe", entry.inode, path, roots);
  if (!module) module = files_->open(root + path, entry.inode, path, roots);
  if (!module && entry.path == path) {
    module = files_->open(root + path, std::nullopt, path, roots);
    if (module && !same_as_in_memory((*module)->image(), entry, tid)) return nullptr;
  }
  return module ? *module : nullptr;
}

std::shared_ptr<ElfModule> NativeModules::read_from_memory(const NativeMapping& mapping,
                                                           base::Tid tid) {
  const kernel::MapEntry& entry = mapping.entry;
  const kernel::ProcessMemory memory(tid);
  std::vector<std::byte> image;
  for (const NativeMapping& part : mappings_) {
    const kernel::MapEntry& piece = part.entry;
    if (piece.inode != entry.inode || piece.path != entry.path || piece.writable ||
        !piece.readable || piece.offset > kMaxImage || piece.end - piece.start > kMaxImage) {
      continue;
    }
    const auto offset = static_cast<std::size_t>(piece.offset);
    const auto size = static_cast<std::size_t>(piece.end - piece.start);
    if (image.size() < offset + size) image.resize(offset + size);
    memory.read(base::RemoteAddr{piece.start}, std::span(image).subspan(offset, size));
  }
  auto parsed = ElfImage::parse(ElfBytes(std::move(image)));
  if (!parsed) return nullptr;
  return std::make_shared<ElfModule>(
      std::move(*parsed), mapping.file_path(),
      std::vector<std::string>{fmt::format("/proc/{}/task/{}/root", pid_, tid), ""});
}

std::size_t NativeModules::read_file(std::uint64_t address, std::span<std::byte> out,
                                     base::Tid tid) {
  const NativeMapping* mapping = find_with_module(address, tid);
  if (mapping == nullptr || mapping->entry.writable || !mapping->module) return 0;
  const std::size_t count =
      static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), mapping->entry.end - address));
  return mapping->module->image().bytes().read(
      address - mapping->entry.start + mapping->entry.offset, out.first(count));
}

}  // namespace stucktrace::unwind
