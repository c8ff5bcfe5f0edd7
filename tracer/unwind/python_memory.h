#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

#include "syscalls/memory.h"

namespace stucktrace::unwind {

// Limits on what one interpreter is believed to hold. They end hostile or torn structures; no
// healthy process comes near them except in depth of recursion, where the innermost frames count.
inline constexpr std::size_t kMaxPythonThreads = 4096;
inline constexpr std::size_t kMaxPythonFrames = 512;
inline constexpr std::size_t kMaxPythonInterpreters = 64;
inline constexpr std::size_t kMaxPythonText = 1024;         // characters
inline constexpr std::size_t kMaxPythonEntries = 1u << 15;  // of a dict
inline constexpr std::size_t kMaxPythonTasks = 2000;
inline constexpr std::size_t kMaxPythonReads = 4'000'000;  // in one look at a process

// A user-space address at which a C struct with pointers can begin.
constexpr bool plausible_pointer(std::uint64_t address) {
  return address >= 4096 && address < (std::uint64_t{1} << 56) && address % 8 == 0;
}

// Ends a look that hostile memory would make endless: after `reads` reads everything is
// unreadable.
class LimitedMemory final : public syscalls::RemoteMemory {
 public:
  LimitedMemory(const syscalls::RemoteMemory& memory, std::size_t reads)
      : memory_(memory), left_(reads) {}
  std::size_t read(base::RemoteAddr address, std::span<std::byte> out) const override {
    if (left_ == 0) return 0;
    --left_;
    return memory_.read(address, out);
  }
  bool exhausted() const { return left_ == 0; }

 private:
  const syscalls::RemoteMemory& memory_;
  mutable std::size_t left_;
};

// A copy of the head of one remote struct, taken with one read.
class RemoteRecord {
 public:
  static constexpr std::size_t kCapacity = 640;

  // nullopt: not a plausible address, or fewer than `least` bytes there.
  static std::optional<RemoteRecord> read(const syscalls::RemoteMemory& memory,
                                          std::uint64_t address, std::size_t size,
                                          std::size_t least) {
    if (!plausible_pointer(address) || size > kCapacity) return std::nullopt;
    RemoteRecord record;
    record.size_ = memory.read(base::RemoteAddr{address}, std::span{record.bytes_}.first(size));
    if (record.size_ < least) return std::nullopt;
    return record;
  }
  static std::optional<RemoteRecord> read(const syscalls::RemoteMemory& memory,
                                          std::uint64_t address, std::size_t size) {
    return read(memory, address, size, size);
  }

  // Zero for a field that the copy does not hold.
  template <class T>
  T at(int offset) const {
    T value{};
    if (offset < 0 || static_cast<std::size_t>(offset) + sizeof(T) > size_) return value;
    std::memcpy(&value, bytes_.data() + offset, sizeof(T));
    return value;
  }
  std::uint64_t word(int offset) const { return at<std::uint64_t>(offset); }
  std::span<const std::byte> bytes() const { return std::span{bytes_}.first(size_); }

 private:
  std::array<std::byte, kCapacity> bytes_;
  std::size_t size_ = 0;
};

// One word, 0 where it cannot be read.
inline std::uint64_t read_word(const syscalls::RemoteMemory& memory, std::uint64_t address) {
  std::uint64_t value = 0;
  if (!plausible_pointer(address)) return 0;
  return memory.read_value(base::RemoteAddr{address}, value) ? value : 0;
}

}  // namespace stucktrace::unwind
