#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace stucktrace::unwind {

struct PythonVersion {
  int major = 0, minor = 0;
  std::string text;  // "3.11.7", "2.7.18+", "3.9" where the rest is not known
  bool operator==(const PythonVersion&) const = default;
};

// PY_VERSION_HEX: 0x030b07f0 is 3.11.7 final. nullopt: no such version.
std::optional<PythonVersion> python_version_from_hex(std::uint32_t value);
// The first sys.version text ("3.9.18 (main, Jan ...) \n[GCC 12.2.0]") in a piece of memory.
std::optional<PythonVersion> find_python_version_text(std::span<const std::byte> memory);
// "libpython3.9.so.1.0", "/usr/bin/python2.7": the weakest evidence.
std::optional<PythonVersion> python_version_from_path(std::string_view path);

}  // namespace stucktrace::unwind
