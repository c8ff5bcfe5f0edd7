#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "tracer/unwind/elf_eh_frame.h"
#include "tracer/unwind/elf_image.h"
#include "tracer/unwind/elf_lines.h"
#include "tracer/unwind/go_table.h"
#include "tracer/unwind/symbols.h"

namespace stucktrace::unwind {

// What a code address of one file is called.
struct Place {
  std::string function;  // "" unknown
  std::uint64_t start = 0;
  std::uint64_t size = 0;  // of the function; 0 unknown
  std::string file;        // "" unknown
  int line = 0;
};

// One ELF file with everything that names its code; symbols and lines are read at the first
// question, answers are kept.
class ElfModule {
 public:
  // `path` and `roots` say where its debug file may be (find_debug_file).
  ElfModule(ElfImage image, std::string path, std::vector<std::string> roots)
      : image_(std::move(image)), path_(std::move(path)), roots_(std::move(roots)) {}

  const ElfImage& image() const { return image_; }
  // The search table made by scanning, for a file without one of its own; relative to the linked
  // address of .eh_frame. Empty where the file has its own.
  std::span<const UnwindEntry> scanned_table();
  // Start of the function that holds a linked address, by the unwind table.
  std::optional<std::uint64_t> function_start(std::uint64_t address);
  // Where functions may start (code_entries), for code that neither tables nor symbols tell of.
  std::span<const std::uint64_t> possible_starts();
  // Go's own table, where it is a Go program.
  const GoTable* go_table();
  // `address` as linked. The reference lives as long as the module.
  const Place& place(std::uint64_t address);

 private:
  void load();

  ElfImage image_;
  std::string path_;
  std::vector<std::string> roots_;
  bool scanned_ = false;
  std::vector<UnwindEntry> scanned_table_;
  std::optional<std::vector<std::uint64_t>> possible_starts_;
  bool loaded_ = false;
  bool go_tried_ = false;
  std::optional<GoTable> go_table_;
  std::optional<ElfImage> debug_;
  SymbolTable symbols_;
  std::unique_ptr<LineTable> lines_;
  std::unordered_map<std::uint64_t, Place> places_;
};

// Modules shared by all processes that map the same file. Not for use by two threads at once.
class ElfFiles {
 public:
  struct Identity {
    std::uint64_t device = 0, inode = 0, size = 0;
    std::int64_t modified_ns = 0;
    auto operator<=>(const Identity&) const = default;
  };

  // The file at `path` of our own mount namespace (may be a magic link below /proc). With
  // `inode`, only if it is that one: a path may lead to a newer file than the one in use.
  base::Result<std::shared_ptr<ElfModule>> open(const std::string& path,
                                                std::optional<std::uint64_t> inode,
                                                const std::string& name,
                                                const std::vector<std::string>& roots);

 private:
  std::map<Identity, std::shared_ptr<ElfModule>> modules_;
};

}  // namespace stucktrace::unwind
