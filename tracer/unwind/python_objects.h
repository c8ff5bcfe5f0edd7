#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "syscalls/memory.h"
#include "tracer/unwind/python_layout.h"
#include "tracer/unwind/python_memory.h"

namespace stucktrace::unwind {

// Values of Python objects in another process. Addresses are raw because each one comes out of
// hostile memory; a wrong one gives nullopt, never a value of another type.
class PythonObjects {
 public:
  // Both must outlive this. `unicode_width`: bytes of a Py_UNICODE, for 2.7 only.
  PythonObjects(const syscalls::RemoteMemory& memory, const PythonLayout& layout,
                std::size_t unicode_width = 4)
      : memory_(memory), layout_(layout), unicode_width_(unicode_width) {}

  const syscalls::RemoteMemory& memory() const { return memory_; }
  const PythonLayout& layout() const { return layout_; }

  // tp_name of the object's type: "dict"; "" where it cannot be read.
  const std::string& type_name(std::uint64_t object) const;
  bool is_a(std::uint64_t object, std::string_view type) const { return type_name(object) == type; }
  // Of that type or of one derived from it.
  bool is_kind_of(std::uint64_t object, std::string_view type) const;
  // The same for a type object's address.
  const std::string& name_of_type(std::uint64_t type) const;

  // Names of types are read anew from here on: one made by the program may be gone, with another in
  // its place.
  void forget_types() const { type_names_.clear(); }

  // A str (2.7: str as it is, or unicode) as UTF-8, cut at kMaxPythonText characters.
  std::optional<std::string> text(std::uint64_t object) const;
  // A bytes object (2.7: str) of at most `limit` bytes; a longer one gives nullopt.
  std::optional<std::vector<std::byte>> bytes(std::uint64_t object, std::size_t limit) const;
  std::optional<double> real(std::uint64_t object) const;
  // A non-negative int (2.7: int or long) that fits 64 bits.
  std::optional<std::uint64_t> integer(std::uint64_t object) const;
  // Items of a tuple; longer than `limit` gives nullopt.
  std::optional<std::vector<std::uint64_t>> tuple(std::uint64_t object, std::size_t limit) const;

  // Calls `visit(key, value)` for each entry of a dict until it answers false.
  using Visit = std::function<bool(std::uint64_t key, std::uint64_t value)>;
  void each_item(std::uint64_t dict, const Visit& visit) const;
  // ... for each member of a set.
  void each_member(std::uint64_t set, const std::function<bool(std::uint64_t member)>& visit) const;
  // A bool; nullopt: something else.
  std::optional<bool> truth(std::uint64_t object) const;
  // The value under a str key; 0 = none.
  std::uint64_t item(std::uint64_t dict, std::string_view key) const;
  // An attribute in the instance's own __dict__, however the version keeps it; 0 = none.
  std::uint64_t attribute(std::uint64_t instance, std::string_view name) const;

 private:
  std::optional<std::string> narrow_text(std::uint64_t object, const RemoteRecord& copy) const;
  std::optional<std::string> wide_text(std::uint64_t object, const RemoteRecord& copy) const;
  void each_old_item(std::uint64_t dict, const Visit& visit) const;
  // Entries of a key table; `values` = the array of a split table, 0 = values beside the keys.
  void each_entry(std::uint64_t keys, std::uint64_t values, const Visit& visit) const;
  std::uint64_t managed_attribute(std::uint64_t instance, std::uint64_t type, std::uint64_t flags,
                                  std::string_view name) const;
  std::uint64_t find(std::string_view name, const std::function<void(const Visit&)>& each) const;

  const syscalls::RemoteMemory& memory_;
  const PythonLayout& layout_;
  std::size_t unicode_width_;
  // By address of the type object, since forget_types().
  mutable std::unordered_map<std::uint64_t, std::string> type_names_;
};

}  // namespace stucktrace::unwind
