#pragma once

#include <cstdint>
#include <vector>

#include "tracer/unwind/elf_image.h"

namespace stucktrace::unwind {

// Where functions of a file without names may start: addresses as linked, ascending, of code that
// something in the file refers to (calls, address computations, words of its data, relocations).
// Found without decoding, so others are among them. Nothing for a file that loads more than 64 MiB,
// nor for other machines than x86-64.
std::vector<std::uint64_t> code_entries(const ElfImage& image);

}  // namespace stucktrace::unwind
