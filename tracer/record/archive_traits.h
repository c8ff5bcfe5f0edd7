#pragma once

#include <chrono>
#include <concepts>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "tracer/base/clock.h"
#include "tracer/base/ids.h"
#include "tracer/model/frame.h"
#include "tracer/model/known.h"

// How a C++ type stands in a message; shared by encoder and decoder.
namespace stucktrace::record {

template <class T>
inline constexpr bool kIsId = false;
template <class Tag, class Rep>
inline constexpr bool kIsId<base::Id<Tag, Rep>> = true;

template <class T>
inline constexpr bool kIsVector = false;
template <class T>
inline constexpr bool kIsVector<std::vector<T>> = true;
template <>
inline constexpr bool kIsVector<model::Stack> = true;

template <class T>
inline constexpr bool kIsOptional = false;
template <class T>
inline constexpr bool kIsOptional<std::optional<T>> = true;

template <class T>
inline constexpr bool kIsShared = false;
template <class T>
inline constexpr bool kIsShared<std::shared_ptr<const T>> = true;

template <class T>
inline constexpr bool kIsMap = false;
template <class K, class V>
inline constexpr bool kIsMap<std::map<K, V>> = true;

// Stands in a message as one varint: numbers, enums, ids, durations, instants.
template <class T>
concept Scalar = std::integral<T> || std::is_enum_v<T> || kIsId<T> ||
                 std::same_as<T, base::Nanoseconds> || std::same_as<T, base::Instant>;

// A signed number is written zigzag (sint64), an unsigned one plain (uint64).
template <class T>
  requires std::integral<T>
inline constexpr bool kZigzag = std::is_signed_v<T> && !std::same_as<T, char>;

// Times travel as wrapping differences: hostile values must not overflow.
inline std::int64_t difference(base::Instant later, base::Instant earlier) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(later.since_boot.count()) -
                                   static_cast<std::uint64_t>(earlier.since_boot.count()));
}
inline base::Instant advance(base::Instant from, std::int64_t by) {
  return {base::Nanoseconds{static_cast<std::int64_t>(
      static_cast<std::uint64_t>(from.since_boot.count()) + static_cast<std::uint64_t>(by))}};
}

}  // namespace stucktrace::record
