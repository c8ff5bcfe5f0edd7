#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "syscalls/memory.h"
#include "tracer/unwind/java_tables.h"

namespace stucktrace::unwind {

// Objects of the Java heap and their classes, by what the machine's tables say of them. The heap
// belongs to a collector that may be moving it: an object that is being moved is not read, and what
// is found holds only if a second reading finds it again. Unknown things are 0 or nullopt.
class JavaObjects {
 public:
  // nullopt: a version without the tables for this, or a collector whose references are not plain
  // addresses (they may name places that have been given to other objects since).
  static std::optional<JavaObjects> read(const syscalls::RemoteMemory& memory,
                                         const JavaTables& tables);

  // The object that a reference outside of the heap (oop*) names.
  std::uint64_t in_slot(std::uint64_t slot) const;
  // The object that the field of `object` with this name names, the field being declared by the
  // class `declarer` ("java/lang/Thread"), which is the object's own or one above it.
  std::uint64_t referred(std::uint64_t object, std::string_view declarer,
                         std::string_view field) const;

 private:
  enum class Header : std::uint8_t { kPlain, kCompressed, kCompact };  // where the class is named
  struct Narrow {                                                      // a 32-bit reference
    std::uint64_t base = 0;
    int shift = 0;
  };
  struct Layout {
    std::uint32_t mark, klass, narrow_klass;  // in an object
    std::uint32_t super, name;                // in a class
    std::uint32_t symbol_length, symbol_body;
    std::uint32_t constants;
    std::uint64_t constants_size;  // of a constant pool before its entries
    std::uint32_t array_length;
  };

  JavaObjects(const syscalls::RemoteMemory& memory, const JavaTables& tables)
      : memory_(memory), tables_(tables) {}
  bool read_layout();
  bool read_collector();
  std::optional<Narrow> narrow(const char* base, const char* shift, const char* older) const;
  std::uint64_t class_of(std::uint64_t object) const;
  std::uint64_t class_named(std::uint64_t derived, std::string_view name) const;
  std::string symbol(std::uint64_t address) const;
  std::string constant(std::uint64_t klass, std::uint32_t index) const;
  std::optional<std::uint32_t> field_offset(std::uint64_t klass, std::string_view name) const;
  std::optional<std::uint32_t> offset_in_slots(std::uint64_t klass, std::string_view name) const;
  std::optional<std::uint32_t> offset_in_stream(std::uint64_t klass, std::string_view name) const;

  const syscalls::RemoteMemory& memory_;
  const JavaTables& tables_;
  Layout layout_{};
  Header header_ = Header::kPlain;
  bool compressed_ = false;  // references in the heap
  Narrow oops_, classes_;
  int class_shift_ = 0;  // of the class in a compact header
  std::uint64_t lock_mask_ = 0, moved_ = 0;
};

}  // namespace stucktrace::unwind
