#pragma once

#include <string_view>

namespace stucktrace::base {

// An errno value, read once on the line after the call that set it.
class Errno {
 public:
  constexpr Errno() = default;
  constexpr explicit Errno(int value) : value_(value) {}
  // The calling thread's errno now.
  static Errno last();
  constexpr int value() const { return value_; }
  // "EPERM"; "errno 4095" style names never occur: an unknown number gives "".
  std::string_view name() const;
  // "Operation not permitted", locale-free.
  std::string_view description() const;
  constexpr bool operator==(const Errno&) const = default;

 private:
  int value_ = 0;
};

}  // namespace stucktrace::base
