#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "tracer/base/unique_fd.h"

namespace stucktrace::unwind {

// The bytes of one ELF file, wherever they lie. Reads are bounded and may be short; a file that is
// cut or rewritten meanwhile gives short reads or other bytes, never a fault (which is why nothing
// is mapped).
class ElfBytes {
 public:
  // A regular file; `fd` stays open as long as the object lives.
  explicit ElfBytes(base::UniqueFd fd, std::uint64_t size) : fd_(std::move(fd)), size_(size) {}
  // An image that exists only in memory (the vdso).
  explicit ElfBytes(std::vector<std::byte> image)
      : image_(std::move(image)), size_(image_.size()) {}

  std::uint64_t size() const { return size_; }
  // -1 for an image in memory.
  int fd() const { return fd_.get(); }

  // Copies from `offset`; returns the count, 0..out.size().
  std::size_t read(std::uint64_t offset, std::span<std::byte> out) const;
  // The same, straight from the source without filling the cache of chunks: for whole sections.
  std::size_t read_uncached(std::uint64_t offset, std::span<std::byte> out) const;

  template <class T>
    requires std::is_trivially_copyable_v<T>
  std::optional<T> read_value(std::uint64_t offset) const {
    T value;
    if (read(offset, std::as_writable_bytes(std::span{&value, 1})) != sizeof(T)) {
      return std::nullopt;
    }
    return value;
  }

 private:
  static constexpr std::size_t kChunk = 64 * 1024;
  struct Chunk {
    std::uint64_t index = ~std::uint64_t{0};
    std::size_t length = 0;
    std::unique_ptr<std::byte[]> bytes;
  };
  const Chunk& chunk(std::uint64_t index) const;

  base::UniqueFd fd_;
  std::vector<std::byte> image_;
  std::uint64_t size_ = 0;
  // Direct-mapped: unwind tables and code of one file lie in a handful of chunks.
  mutable Chunk chunks_[8];
};

}  // namespace stucktrace::unwind
