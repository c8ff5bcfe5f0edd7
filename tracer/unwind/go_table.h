#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tracer/unwind/elf_image.h"

namespace stucktrace::unwind {

// The function table that a Go program carries, stripped or not, for its own stack traces
// (.gopclntab; src/runtime/symtab.go and src/debug/gosym of the Go sources): names, lines, and how
// large each frame is at each instruction. With it a stack is walked by the stack pointer alone.
// Formats of Go 1.18 and later. Read with suspicion: what does not fit is not found.
class GoTable {
 public:
  // nullopt: no Go program, or one of another format.
  static std::optional<GoTable> read(const ElfImage& image);
  // The section's bytes; `text` is the linked address of .text, for tables that leave it to be
  // relocated.
  static std::optional<GoTable> parse(std::vector<std::byte> bytes, std::uint64_t text);

  struct Found {
    std::string function;
    std::uint64_t start = 0;
    std::string file;
    int line = 0;
  };
  std::optional<Found> find(std::uint64_t address) const;
  // Bytes from the stack pointer to the return address at this instruction.
  std::optional<std::uint64_t> frame_size(std::uint64_t address) const;
  // It was called by nobody, or by something on another stack.
  static bool is_outermost(std::string_view function);

 private:
  // struct _func, the fields that are used.
  struct Function {
    std::uint64_t start = 0;
    std::int32_t name = 0;
    std::uint32_t frame_sizes = 0;
    std::uint32_t files = 0;
    std::uint32_t lines = 0;
    std::uint32_t unit = 0;
  };
  template <class T>
  std::optional<T> value(std::uint64_t offset) const;
  std::optional<Function> function_of(std::uint64_t address) const;
  std::optional<std::uint64_t> entry(std::uint64_t index) const;
  std::optional<std::int32_t> table_value(std::uint32_t table, std::uint64_t start,
                                          std::uint64_t address) const;
  std::optional<std::uint32_t> variable_length(std::uint64_t& at) const;
  std::string text_at(std::uint64_t offset) const;

  std::vector<std::byte> bytes_;
  std::uint64_t text_ = 0;
  std::uint64_t functions_ = 0;  // how many
  std::uint64_t quantum_ = 1;    // of instruction addresses
  std::uint64_t names_ = 0, units_ = 0, files_ = 0, tables_ = 0, lookup_ = 0;  // offsets
};

}  // namespace stucktrace::unwind
