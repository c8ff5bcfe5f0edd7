#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "tracer/base/ids.h"

namespace stucktrace::syscalls {

// A decoded argument as data; every output format prints from this tree, none re-reads memory.

struct Value;

struct Null {};  // a null pointer
struct Integer {
  std::int64_t value = 0;
};
struct Unsigned {
  std::uint64_t value = 0;
};
struct Hex {
  std::uint64_t value = 0;
};
struct Octal {
  std::uint64_t value = 0;
};  // modes
struct Fd {
  int fd = -1;
};  // AT_FDCWD = -100 prints by name
struct PidValue {
  std::int32_t pid = 0;
};
struct Signal {
  int number = 0;
};
struct Symbol {
  std::int64_t raw = 0;
  std::string text;
};  // one named constant: "SEEK_SET"
struct Flags {
  std::uint64_t raw = 0;
  std::string text;
};  // "O_RDONLY|O_CLOEXEC"; "" prints raw
struct Address {
  base::RemoteAddr address;
};  // memory that was not or could not be read
struct Text {
  std::string bytes;
  bool cut = false;
};  // path or NUL-ended string, raw bytes; a leading NUL: abstract socket name
// `bytes` may be shorter than `size` (limit, payload policy) or empty.
struct Buffer {
  std::string bytes;
  std::uint64_t size = 0;
};
struct Duration {
  std::int64_t seconds = 0;
  std::int64_t nanoseconds = 0;
  bool microseconds = false;  // came as a struct timeval: printed with tv_usec
};
struct Array {
  std::vector<Value> items;
  bool cut = false;
};
struct Field;
struct Struct {
  std::vector<Field> fields;
};

struct Value {
  std::variant<Null, Integer, Unsigned, Hex, Octal, Fd, PidValue, Signal, Symbol, Flags, Address,
               Text, Buffer, Duration, Array, Struct>
      data;
};

struct Field {
  std::string name;
  Value value;
};

}  // namespace stucktrace::syscalls
