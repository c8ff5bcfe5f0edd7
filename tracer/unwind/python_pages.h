#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <unordered_map>

#include "syscalls/memory.h"

namespace stucktrace::unwind {

// Reads memory a page at a time and keeps the copies: the frames and objects of a process lie close
// together, and a system call costs more than a page. What is read between two forget() calls comes
// from one copy; whether it has changed since shows only after forget().
class PageCopies final : public syscalls::RemoteMemory {
 public:
  explicit PageCopies(const syscalls::RemoteMemory& memory) : memory_(memory) {}
  std::size_t read(base::RemoteAddr address, std::span<std::byte> out) const override;
  void forget() { pages_.clear(); }

 private:
  static constexpr std::size_t kPage = 4096;
  static constexpr std::size_t kMaxPages = 2048;
  // A larger read goes past the copies.
  static constexpr std::size_t kLargeRead = 4 * kPage;
  struct Page {
    std::array<std::byte, kPage> bytes;
    std::size_t size = 0;  // readable from the start
  };
  const Page& page(std::uint64_t start) const;

  const syscalls::RemoteMemory& memory_;
  mutable std::unordered_map<std::uint64_t, Page> pages_;
};

}  // namespace stucktrace::unwind
