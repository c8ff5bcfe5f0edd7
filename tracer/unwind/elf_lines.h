#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "tracer/unwind/elf_image.h"

namespace stucktrace::unwind {

struct SourceLine {
  std::string file;
  int line = 0;
};

// Source positions from the DWARF of one file, by libdw over that file alone: no search for other
// files, no network.
class LineTable {
 public:
  // nullptr where the file has no DWARF, or so much of it that reading it would cost more time and
  // memory than a line number is worth: over 1 MiB of compressed or 64 MiB of plain sections.
  // `image` must outlive the table.
  static std::unique_ptr<LineTable> open(const ElfImage& image);

  LineTable(const LineTable&) = delete;
  LineTable& operator=(const LineTable&) = delete;
  ~LineTable();

  // The position of the instruction at a linked address.
  std::optional<SourceLine> find(std::uint64_t address);

 private:
  struct State;
  explicit LineTable(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace stucktrace::unwind
