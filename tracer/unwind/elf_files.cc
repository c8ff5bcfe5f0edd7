#include "tracer/unwind/elf_files.h"

#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "tracer/unwind/code_entries.h"
#include "tracer/unwind/elf_debug.h"

namespace stucktrace::unwind {

std::span<const UnwindEntry> ElfModule::scanned_table() {
  if (!scanned_ && !image_.unwind_table()) scanned_table_ = scan_eh_frame(image_);
  scanned_ = true;
  return scanned_table_;
}

std::optional<std::uint64_t> ElfModule::function_start(std::uint64_t address) {
  if (image_.unwind_table()) return image_.function_start(address);
  const ElfSection* section = image_.section(".eh_frame");
  const auto table = scanned_table();
  if (section == nullptr || table.empty()) return std::nullopt;
  const auto start = [&](const UnwindEntry& entry) {
    return section->address + static_cast<std::uint64_t>(std::int64_t{entry.function});
  };
  const auto after = std::ranges::upper_bound(table, address, {}, start);
  return after == table.begin() ? std::nullopt : std::optional(start(*(after - 1)));
}

std::span<const std::uint64_t> ElfModule::possible_starts() {
  if (!possible_starts_) possible_starts_ = code_entries(image_);
  return *possible_starts_;
}

void ElfModule::load() {
  loaded_ = true;
  const bool full = symbols_.add(image_);
  symbols_.add_plt(image_);
  const bool own_lines = image_.section(".debug_line") != nullptr;
  if (!full || !own_lines) debug_ = find_debug_file(image_, path_, roots_);
  if (debug_ && !full) symbols_.add(*debug_);
  if (own_lines) {
    lines_ = LineTable::open(image_);
  } else if (debug_) {
    lines_ = LineTable::open(*debug_);
  }
}

const GoTable* ElfModule::go_table() {
  if (!std::exchange(go_tried_, true)) go_table_ = GoTable::read(image_);
  return go_table_ ? &*go_table_ : nullptr;
}

const Place& ElfModule::place(std::uint64_t address) {
  if (const auto known = places_.find(address); known != places_.end()) return known->second;
  if (!loaded_) load();
  Place place;
  const GoTable* go = go_table();
  if (auto found = go != nullptr ? go->find(address) : std::nullopt) {
    place = {std::move(found->function), found->start, 0, std::move(found->file), found->line};
    return places_.emplace(address, std::move(place)).first->second;
  }
  if (auto symbol = symbols_.find(address)) {
    place.function = std::move(symbol->name);
    place.start = symbol->address;
    place.size = symbol->size;
  }
  if (lines_) {
    if (auto line = lines_->find(address)) {
      place.file = std::move(line->file);
      place.line = line->line;
    }
  }
  return places_.emplace(address, std::move(place)).first->second;
}

base::Result<std::shared_ptr<ElfModule>> ElfFiles::open(const std::string& path,
                                                        std::optional<std::uint64_t> inode,
                                                        const std::string& name,
                                                        const std::vector<std::string>& roots) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) {
    return base::system_error("stat " + path, base::Errno::last());
  }
  if (inode && status.st_ino != *inode) return base::malformed(path + ": another file than mapped");
  const Identity identity{status.st_dev, status.st_ino, static_cast<std::uint64_t>(status.st_size),
                          status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec};
  if (const auto known = modules_.find(identity); known != modules_.end()) return known->second;
  auto image = open_elf(path);
  if (!image) return base::Failure(image.error());
  auto module = std::make_shared<ElfModule>(std::move(*image), name, roots);
  modules_.emplace(identity, module);
  return module;
}

}  // namespace stucktrace::unwind
