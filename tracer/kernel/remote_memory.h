#pragma once

#include "syscalls/memory.h"
#include "tracer/base/ids.h"
#include "tracer/base/unique_fd.h"

namespace stucktrace::kernel {

// Writes all of it through /proc/TID/mem, also where the tracee itself may only read; false if that
// cannot be. The caller must be its tracer.
bool write_memory(base::Tid tid, base::RemoteAddr address, std::span<const std::byte> data);

// A live process's memory through process_vm_readv(2), falling back to /proc/PID/mem where that
// is refused or unsupported. Needs PTRACE_MODE_ATTACH_REALCREDS; stops nothing. A read that crosses
// into an unreadable page is short.
class ProcessMemory final : public syscalls::RemoteMemory {
 public:
  // Any task of the process names the address space.
  explicit ProcessMemory(base::Tid tid) : tid_(tid) {}
  std::size_t read(base::RemoteAddr address, std::span<std::byte> out) const override;

 private:
  base::Tid tid_;
  mutable base::UniqueFd mem_;
};

}  // namespace stucktrace::kernel
