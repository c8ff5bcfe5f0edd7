#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "tracer/base/ids.h"

namespace stucktrace::syscalls {

// The port through which a tracee's memory is read. Everything read through it is hostile.
// Implemented over process_vm_readv in kernel/, over recorded bytes by CapturedMemory, faked in
// tests.
class RemoteMemory {
 public:
  virtual ~RemoteMemory() = default;
  // Fills `out` from `address` on; returns how many bytes could be read from the start (0..size).
  // A short count is an answer (edge of a mapping), never an error.
  virtual std::size_t read(base::RemoteAddr address, std::span<std::byte> out) const = 0;

  template <class T>
  bool read_value(base::RemoteAddr address, T& out) const {
    return read(address, std::as_writable_bytes(std::span{&out, 1})) == sizeof(T);
  }
};

// Bytes kept from a tracee at a stop: what the decoder will need, read once while the tracee is
// stopped, decoded later or in another process (record here, analyse there). What an ordinary call
// needs is kept inside the object: a stop allocates nothing.
class CapturedMemory final : public RemoteMemory {
 public:
  struct Range {
    base::RemoteAddr address;
    std::uint32_t offset = 0;  // into bytes
    std::uint32_t size = 0;
    bool operator==(const Range&) const = default;
  };

  CapturedMemory() = default;
  CapturedMemory(CapturedMemory&&) noexcept = default;
  CapturedMemory& operator=(CapturedMemory&&) noexcept = default;
  CapturedMemory(const CapturedMemory& other) { append(other); }
  CapturedMemory& operator=(const CapturedMemory& other);
  ~CapturedMemory() override = default;

  bool empty() const { return ranges_.size() == 0; }
  // Copies up to `size` bytes from `source`; keeps what was readable. Returns the count kept.
  std::size_t capture(const RemoteMemory& source, base::RemoteAddr address, std::size_t size);
  // Keeps bytes that are already at hand (the recording reader).
  void add(base::RemoteAddr address, std::span<const std::byte> bytes);
  // Everything the other one keeps, as newer.
  void append(const CapturedMemory& other);
  std::size_t read(base::RemoteAddr address, std::span<std::byte> out) const override;
  void clear() {
    ranges_.clear();
    bytes_.clear();
  }
  // Empty, with the room of a new one: what grew, or was moved from after it had, has none of its
  // own any more, and each further use would allocate.
  void reset() {
    if (ranges_.capacity() != kInlineRanges || bytes_.capacity() != kInlineBytes) {
      *this = {};
    } else {
      clear();
    }
  }

  std::span<const Range> ranges() const { return {ranges_.data(), ranges_.size()}; }
  std::span<const std::byte> bytes(const Range& range) const {
    return std::span{bytes_.data(), bytes_.size()}.subspan(range.offset, range.size);
  }
  bool operator==(const CapturedMemory& other) const;

 private:
  static constexpr std::size_t kInlineRanges = 3;
  static constexpr std::size_t kInlineBytes = 128;
  fmt::basic_memory_buffer<Range, kInlineRanges> ranges_;
  fmt::basic_memory_buffer<std::byte, kInlineBytes> bytes_;
};

}  // namespace stucktrace::syscalls
