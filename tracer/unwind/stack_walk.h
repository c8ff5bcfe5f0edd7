#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tracer/base/ids.h"

namespace stucktrace::unwind {

// Reads a process's memory; returns how many bytes there were, possibly none.
using ReadBytes = std::function<std::size_t(std::uint64_t address, std::span<std::byte> out)>;

// A thread's stack as copied from the process.
struct StackCopy {
  base::Tid tid;
  std::uint64_t stack_pointer = 0;
  std::uint64_t program_counter = 0;
  std::optional<std::uint64_t> frame_pointer;  // known only of a thread that was stopped
  std::uint64_t start = 0;  // address of bytes[0]; below the stack pointer by the red zone
  std::span<const std::byte> bytes;

  bool holds(std::uint64_t address) const {
    return address >= start && address - start < bytes.size();
  }
};

struct CodeAddress {
  std::uint64_t pc = 0;
  // The instruction at pc itself is meant (innermost frame, or one interrupted by a signal); else
  // pc is a return address and the call lies before it.
  bool exact = false;
};

struct Walk {
  std::vector<CodeAddress> frames;  // innermost first
  std::string note;                 // "" complete
  bool unknown_code = false;        // ended at an address outside all mappings known
};

}  // namespace stucktrace::unwind
