#include <cstddef>
#include <cstdint>
#include <string_view>

#include "tracer/kernel/procfs_parse.h"

// Every parser of /proc text takes any bytes: process names are chosen by whoever is looked at.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace kernel = stucktrace::kernel;
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  static_cast<void>(kernel::parse_stat(text));
  static_cast<void>(kernel::parse_status(text));
  static_cast<void>(kernel::parse_syscall(text));
  static_cast<void>(kernel::parse_fdinfo(text));
  static_cast<void>(kernel::parse_locks(text));
  static_cast<void>(kernel::parse_maps(text));
  static_cast<void>(kernel::parse_fd_link(text));
  return 0;
}
