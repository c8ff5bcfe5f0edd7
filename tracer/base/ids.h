#pragma once

#include <fmt/format.h>

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace stucktrace::base {

// A number that means one thing only. Two ids of different tags never compare, convert or mix.
template <class Tag, class Rep>
class Id {
 public:
  using Representation = Rep;
  constexpr Id() = default;
  constexpr explicit Id(Rep value) : value_(value) {}
  constexpr Rep value() const { return value_; }
  constexpr explicit operator bool() const { return value_ != Rep{}; }
  constexpr auto operator<=>(const Id&) const = default;

 private:
  Rep value_{};
};

struct PidTag;
struct TidTag;
struct RemoteAddrTag;

// Process id (thread-group id) in stucktrace's own pid namespace. 0 = none.
using Pid = Id<PidTag, std::int32_t>;
// Thread id in stucktrace's own pid namespace. 0 = none.
using Tid = Id<TidTag, std::int32_t>;
// An address in a tracee; never dereferenced here.
using RemoteAddr = Id<RemoteAddrTag, std::uint64_t>;

// The main thread's tid equals the pid (gettid(2)).
constexpr Tid main_thread(Pid pid) {
  return Tid{pid.value()};
}

}  // namespace stucktrace::base

template <class Tag, class Rep>
struct std::hash<stucktrace::base::Id<Tag, Rep>> {
  std::size_t operator()(stucktrace::base::Id<Tag, Rep> id) const noexcept {
    return std::hash<Rep>{}(id.value());
  }
};

template <class Tag, class Rep>
struct fmt::formatter<stucktrace::base::Id<Tag, Rep>> : fmt::formatter<Rep> {
  auto format(stucktrace::base::Id<Tag, Rep> id, fmt::format_context& context) const {
    return fmt::formatter<Rep>::format(id.value(), context);
  }
};
