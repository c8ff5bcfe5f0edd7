#pragma once

#include <cstdint>
#include <vector>

#include "tracer/unwind/elf_image.h"

namespace stucktrace::unwind {

// One function of a search table, in the layout of .eh_frame_hdr (LSB): both relative to its base.
struct UnwindEntry {
  std::int32_t function = 0;
  std::int32_t description = 0;  // its FDE
};

// The search table that the linker left out (static programs have .eh_frame, but often no
// .eh_frame_hdr): every FDE of .eh_frame, sorted. Relative to the linked address of .eh_frame.
// Empty where there is no such section or nothing in it can be read.
std::vector<UnwindEntry> scan_eh_frame(const ElfImage& image);

}  // namespace stucktrace::unwind
