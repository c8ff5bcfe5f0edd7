#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "syscalls/memory.h"
#include "tracer/base/result.h"

namespace stucktrace::unwind {

struct JavaField {
  std::string type;  // as C++ writes it: "ObjectMonitor*"
  bool is_static = false;
  std::uint64_t offset = 0;   // in the struct; of a static member 0
  std::uint64_t address = 0;  // of a static member
};

// The tables in which the HotSpot virtual machine describes its own structs to debuggers: types,
// fields and constants, by name. Their variables (gHotSpotVMStructs and its like) are dynamic
// symbols of libjvm.so, and they say how far apart the entries lie and where in an entry each thing
// is, so that no layout of any version is known here.
class JavaTables {
 public:
  // Addresses in the process of the variables, by their names; 0 = there is none of that name.
  using Variables = std::function<std::uint64_t(std::string_view)>;

  // kMalformed: what is there is no such table; a virtual machine that has not started yet, too.
  static base::Result<JavaTables> read(const syscalls::RemoteMemory& memory,
                                       const Variables& variables);

  // By "Struct::member"; nullptr: this version has none of that name.
  const JavaField* field(std::string_view name) const;
  // Of the first of these names that is a member of an object; members have moved between structs
  // and their bases from version to version.
  std::optional<std::uint32_t> offset(std::initializer_list<std::string_view> names) const;
  // Of the first of these names that is a static member.
  std::optional<std::uint64_t> address(std::initializer_list<std::string_view> names) const;
  std::optional<std::uint64_t> size_of(std::string_view type) const;
  std::optional<std::int64_t> constant(std::initializer_list<std::string_view> names) const;

 private:
  std::map<std::string, JavaField, std::less<>> fields_;
  std::map<std::string, std::uint64_t, std::less<>> sizes_;
  std::map<std::string, std::int64_t, std::less<>> constants_;
};

// The C string at an address; "" where it cannot be read or is longer than `limit`.
std::string read_java_text(const syscalls::RemoteMemory& memory, std::uint64_t address,
                           std::size_t limit);

}  // namespace stucktrace::unwind
