#include "tracer/kernel/remote_memory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/uio.h>

#include <cerrno>
#include <string>

namespace stucktrace::kernel {

bool write_memory(base::Tid tid, base::RemoteAddr address, std::span<const std::byte> data) {
  const base::UniqueFd memory{
      ::open(fmt::format("/proc/{}/mem", tid).c_str(), O_WRONLY | O_CLOEXEC)};
  return memory.valid() && ::pwrite(memory.get(), data.data(), data.size(),
                                    static_cast<off_t>(address.value())) == std::ssize(data);
}

std::size_t ProcessMemory::read(base::RemoteAddr address, std::span<std::byte> out) const {
  if (out.empty()) return 0;
  iovec local{out.data(), out.size()};
  // Page-sized remote pieces: the call is atomic per iovec element, so a read over the edge of a
  // mapping still returns the pages before it (process_vm_readv(2), "Partial transfers").
  constexpr std::uint64_t kPage = 4096;
  constexpr std::size_t kPieces = 64;
  std::size_t done = 0;
  while (done < out.size()) {
    iovec remote[kPieces];
    std::size_t pieces = 0;
    std::size_t asked = 0;
    while (pieces < kPieces && done + asked < out.size()) {
      const std::uint64_t at = address.value() + done + asked;
      std::size_t size = static_cast<std::size_t>(kPage - at % kPage);
      if (size > out.size() - done - asked) size = out.size() - done - asked;
      remote[pieces++] = {reinterpret_cast<void*>(at), size};
      asked += size;
    }
    local = {out.data() + done, asked};
    const ssize_t got = process_vm_readv(tid_.value(), &local, 1, remote, pieces, 0);
    if (got > 0) done += static_cast<std::size_t>(got);
    if (got == static_cast<ssize_t>(asked)) continue;
    if (got > 0) return done;
    if (done > 0 || (errno != EPERM && errno != ENOSYS)) return done;
    break;
  }
  if (done > 0) return done;
  if (!mem_.valid()) {
    mem_.reset(::open(fmt::format("/proc/{}/mem", tid_).c_str(), O_RDONLY | O_CLOEXEC));
    if (!mem_.valid()) return 0;
  }
  const ssize_t got =
      ::pread(mem_.get(), out.data(), out.size(), static_cast<off_t>(address.value()));
  return got > 0 ? static_cast<std::size_t>(got) : 0;
}

}  // namespace stucktrace::kernel
