#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "syscalls/memory.h"
#include "tracer/unwind/python_layout.h"

namespace stucktrace::unwind {

// An address space made of separate allocations; a read ends at the edge of one.
class FakeSpace final : public syscalls::RemoteMemory {
 public:
  // A zeroed allocation, with room before it for what 3.11+ keeps in front of an object.
  std::uint64_t allocate(std::size_t size) {
    next_ = (next_ + 63) & ~std::uint64_t{63};
    const std::uint64_t start = next_;
    blocks_.emplace(start, std::vector<std::byte>(size + kBefore));
    next_ += size + kBefore + 64;
    return start + kBefore;
  }
  template <class T>
  void put(std::uint64_t address, T value) {
    put_bytes(address, &value, sizeof value);
  }
  void put_bytes(std::uint64_t address, const void* data, std::size_t size) {
    auto block = std::prev(blocks_.upper_bound(address));
    if (size > 0) std::memcpy(block->second.data() + (address - block->first), data, size);
  }
  std::size_t read(base::RemoteAddr address, std::span<std::byte> out) const override {
    const auto after = blocks_.upper_bound(address.value());
    if (after == blocks_.begin()) return 0;
    const auto& [start, bytes] = *std::prev(after);
    const std::uint64_t offset = address.value() - start;
    if (offset >= bytes.size() || out.empty()) return 0;
    const std::size_t count = std::min<std::size_t>(out.size(), bytes.size() - offset);
    std::memcpy(out.data(), bytes.data() + offset, count);
    return count;
  }

  // The address of every word that can be put.
  std::vector<std::uint64_t> words() const {
    std::vector<std::uint64_t> result;
    for (const auto& [start, bytes] : blocks_) {
      for (std::size_t at = 0; at + 8 <= bytes.size(); at += 8) result.push_back(start + at);
    }
    return result;
  }

 private:
  static constexpr std::size_t kBefore = 64;
  std::map<std::uint64_t, std::vector<std::byte>> blocks_;
  std::uint64_t next_ = 0x10000;
};

// The head of a _PyRuntime: a form of publishing, and the numbers in it.
struct PublishedOffsets {
  PublishedOffsets() { std::memcpy(bytes.data(), "xdebugpy", 8); }
  explicit PublishedOffsets(std::span<const std::uint64_t> words) : PublishedOffsets() {
    for (std::size_t index = 0; index < words.size(); ++index) word(index, words[index]);
  }
  void word(std::size_t index, std::uint64_t value) {
    std::memcpy(bytes.data() + 8 + index * 8, &value, sizeof value);
  }
  std::array<std::byte, kPythonDebugOffsetsSize> bytes{};
};

// What a 3.14.10 publishes, and a 3.15.2.
// clang-format off
inline PublishedOffsets published_314() {
  constexpr std::uint64_t kWords[] = {
      0x030e0af0, 0,  // version
      316616, 784, 808,  // runtime
      225864, 7280, 7272, 7344, 7360, 7408, 7688, 7672, 7680, 16,  // interpreter
      7784, 0, 7800, 7792, 7992, 0,  // ... its GIL
      832, 0, 8, 16, 72, 152, 160, 232, 32,  // thread
      88, 8, 0, 56, 80, 74, 64, 0,  // frame
      216, 112, 120, 128, 136, 68, 52, 96, 104, 208, 0,  // code
      16, 8,  // object
      416, 24, 88, 168,  // type
      40, 32, 16,  // tuple
      40, 24, 16,  // list
      200, 24, 40, 32,  // set
      48, 32, 40,  // dict
      24, 16,  // float
      32, 16, 24,  // int
      40, 16, 32,  // bytes
      64, 32, 16, 40,  // str
      264, 192,  // collector
      160, 24, 72, 67,  // generator
      0, 8,  // node of a list
      24, 304, 8076, 0, 4, 512,  // for debuggers
  };
  return PublishedOffsets{kWords};
}
inline PublishedOffsets published_315() {
  constexpr std::uint64_t kWords[] = {
      0x030f02f0, 0,  // version
      346568, 912, 936,  // runtime
      226240, 7272, 7264, 7336, 7352, 7400, 7592, 7576, 7584, 16,  // interpreter
      7736, 0, 7752, 7744, 7944, 0,  // ... its GIL
      888, 0, 8, 16, 72, 80, 88, 96, 176, 184, 256, 32, 36, 40, 136, 288, 0,  // thread, item of its exceptions
      88, 8, 0, 56, 80, 74, 64, 0,  // frame
      216, 112, 120, 128, 136, 68, 52, 96, 104, 208, 0,  // code
      16, 8,  // object
      424, 24, 88, 168, 32, 288, 944, 888,  // type
      40, 32, 16,  // tuple
      40, 24, 16,  // list
      200, 24, 40, 32,  // set
      48, 32, 40,  // dict
      24, 16,  // float
      32, 16, 24,  // int
      40, 16, 32,  // bytes
      64, 32, 16, 40, 56,  // str
      176, 112, 120, 1120, 104,  // collector
      160, 24, 72, 67,  // generator
      0, 8,  // node of a list
      24, 344, 8028, 0, 4, 512,  // for debuggers
  };
  return PublishedOffsets{kWords};
}
// clang-format on

// Builds Python objects of one version in a FakeSpace.
class FakePython {
 public:
  FakePython(int major, int minor) : layout(*find_python_layout(major, minor)) {}

  std::uint64_t type(const std::string& name) {
    auto& known = types_[name];
    if (known != 0) return known;
    known = space.allocate(1024);
    const std::uint64_t text = space.allocate(name.size() + 1);
    space.put_bytes(text, name.data(), name.size());
    space.put(at(known, layout.type_name), text);
    return known;
  }
  std::uint64_t object(const std::string& type_name, std::size_t size) {
    const std::uint64_t address = space.allocate(size);
    space.put(at(address, layout.object_type), type(type_name));
    return address;
  }
  // Up to 4 bytes a character, compact; width 1 and `ascii` as given.
  std::uint64_t text3(std::u32string_view text, unsigned width, bool ascii) {
    const std::uint64_t address = object("str", 80 + text.size() * width);
    space.put(at(address, layout.text_length), std::uint64_t{text.size()});
    const std::uint32_t state = (width << 2) | 32u | (ascii ? 64u : 0u);
    space.put(at(address, layout.text_state), state);
    put_units(at(address, ascii ? layout.text_ascii_data : layout.text_compact_data), text, width);
    return address;
  }
  std::uint64_t name(std::string_view text) {
    if (layout.major < 3) {
      const std::uint64_t address = object("str", 48 + text.size());
      space.put(at(address, layout.object_size), std::uint64_t{text.size()});
      space.put_bytes(at(address, layout.bytes_data), text.data(), text.size());
      return address;
    }
    return text3(std::u32string(text.begin(), text.end()), 1, true);
  }
  void put_units(std::uint64_t address, std::u32string_view text, unsigned width) {
    for (std::size_t index = 0; index < text.size(); ++index) {
      const std::uint32_t unit = text[index];
      space.put_bytes(address + index * width, &unit, width);
    }
  }
  struct Entry {
    std::uint64_t key, value;
  };
  // A key table of 8 slots as 3.x has it. `unicode_only`: 3.11+.
  std::uint64_t keys(const std::vector<Entry>& entries, bool unicode_only) {
    const std::uint64_t address = space.allocate(512);
    constexpr std::uint64_t kSlots = 8;
    if (layout.keys_log2_bytes >= 0) {
      space.put(at(address, layout.keys_log2_bytes), std::uint8_t{3});
      space.put(at(address, layout.keys_kind), static_cast<std::uint8_t>(unicode_only));
    } else {
      space.put(at(address, layout.keys_size), kSlots);
    }
    space.put(at(address, layout.keys_count), std::uint64_t{entries.size()});
    std::uint64_t to = at(address, layout.keys_indices) + kSlots;
    for (const Entry& entry : entries) {
      if (!unicode_only) to += 8;
      space.put(to, entry.key);
      space.put(to + 8, entry.value);
      to += 16;
    }
    return address;
  }
  std::uint64_t dict(std::uint64_t keys_address, std::uint64_t values = 0) {
    const std::uint64_t address = object("dict", 64);
    space.put(at(address, layout.dict_keys), keys_address);
    space.put(at(address, layout.dict_values), values);
    return address;
  }
  static std::uint64_t at(std::uint64_t address, int offset) {
    return address + static_cast<std::uint64_t>(offset);
  }

  FakeSpace space;
  PythonLayout layout;

 private:
  std::map<std::string, std::uint64_t> types_;
};

}  // namespace stucktrace::unwind
