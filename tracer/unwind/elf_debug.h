#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tracer/unwind/elf_image.h"

namespace stucktrace::unwind {

// Opens a local file as an ELF image. kGone, kDenied, kMalformed, kUnsupported.
base::Result<ElfImage> open_elf(const std::string& path);

// The installed file with the symbols that were stripped from `image`, if there is one: by build id
// below /usr/lib/debug/.build-id, else by .gnu_debuglink. Looks below each of `roots` ("" = our own
// root, "/proc/PID/root"); only local files, never a network. A candidate counts when its build id
// is the same, or, where there is none, when the checksum in .gnu_debuglink is.
std::optional<ElfImage> find_debug_file(const ElfImage& image, std::string_view module_path,
                                        const std::vector<std::string>& roots);

}  // namespace stucktrace::unwind
