#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tracer/base/ids.h"
#include "tracer/base/result.h"
#include "tracer/kernel/procfs_parse.h"
#include "tracer/unwind/elf_files.h"

namespace stucktrace::unwind {

struct NativeMapping {
  kernel::MapEntry entry;
  bool tried = false;  // to open the file
  std::shared_ptr<ElfModule> module;

  // The path without the kernel's " (deleted)" behind it; "[vdso]" and the like as they are.
  std::string file_path() const;
  // Address in the file as linked; nullopt outside what the file loads there.
  std::optional<std::uint64_t> linked(std::uint64_t address) const;
};

// The mappings of one process and the ELF files behind them, opened when first asked for. A file
// is reached as the process sees it: /proc/PID/map_files (which also finds deleted files; needs
// CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE), /proc/PID/exe, then /proc/PID/root and the path; by
// path only if it is still the file that is mapped. The vdso, and a file that cannot be reached,
// are read from memory; the latter then has unwind tables, but no names of its own.
class NativeModules {
 public:
  NativeModules(base::Pid pid, std::shared_ptr<ElfFiles> files)
      : pid_(pid), files_(std::move(files)) {}

  // Reads the mappings again through a live thread (the main thread may have ended).
  base::Result<void> reload(base::Tid tid);
  bool loaded() const { return !mappings_.empty(); }

  // nullptr: not mapped when last read.
  NativeMapping* find(std::uint64_t address);
  // The same, with its file opened; `module` stays null where that is no readable ELF file.
  NativeMapping* find_with_module(std::uint64_t address, base::Tid tid);
  // Bytes of the file below a mapping that nobody can have written to; 0 where there is none.
  std::size_t read_file(std::uint64_t address, std::span<std::byte> out, base::Tid tid);

 private:
  void open_module(NativeMapping& mapping, base::Tid tid);
  std::shared_ptr<ElfModule> open_file(const NativeMapping& mapping, base::Tid tid);
  std::shared_ptr<ElfModule> read_from_memory(const NativeMapping& mapping, base::Tid tid);

  base::Pid pid_;
  std::shared_ptr<ElfFiles> files_;
  std::vector<NativeMapping> mappings_;  // sorted
  std::size_t last_ = 0;                 // the mapping found last
  std::map<std::pair<std::uint64_t, std::string>, std::shared_ptr<ElfModule>> opened_;
};

}  // namespace stucktrace::unwind
