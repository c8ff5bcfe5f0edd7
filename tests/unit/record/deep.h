#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <tuple>
#include <utility>
#include <variant>

#include "tests/unit/record/members.h"
#include "tracer/record/archive_traits.h"
#include "tracer/record/fields.h"

// Filling and comparing whole model values, member by member, whatever they contain.
namespace stucktrace::record {

template <class T>
inline constexpr bool kIsKnown = false;
template <class T>
inline constexpr bool kIsKnown<model::Known<T>> = true;
template <class T>
inline constexpr bool kIsVariant = false;
template <class... T>
inline constexpr bool kIsVariant<std::variant<T...>> = true;
template <class T>
inline constexpr bool kIsArray = false;
template <class T, std::size_t N>
inline constexpr bool kIsArray<std::array<T, N>> = true;

// Gives every member a value that is not its default and, for numbers and texts, appears once.
class Filler {
 public:
  enum class Facts { kKnown, kUnknown, kZero };
  explicit Filler(Facts facts) : facts_(facts) {}

  template <class T>
  T make() {
    T value{};
    fill(value);
    return value;
  }

  template <class T>
  void fill(T& value) {
    if constexpr (std::same_as<T, std::string>) {
      value = fmt::format("text {}", ++count_) + std::string{"\0\xff\n", 3};
    } else if constexpr (std::same_as<T, bool>) {
      value = !value;
    } else if constexpr (std::is_enum_v<T>) {
      const auto choices = static_cast<std::size_t>(EnumRange<T>::kLast) + 1;
      const T before = value;
      while (value == before) value = static_cast<T>(++count_ % choices);
    } else if constexpr (std::same_as<T, char>) {
      value = static_cast<char>('A' + ++count_ % 26);
    } else if constexpr (kIsId<T>) {
      value = T{number<typename T::Representation>()};
    } else if constexpr (std::same_as<T, base::Nanoseconds>) {
      value = base::Nanoseconds{number<std::int64_t>()};
    } else if constexpr (std::same_as<T, base::Instant>) {
      value = {base::Nanoseconds{number<std::int64_t>()}};
    } else if constexpr (std::integral<T>) {
      value = number<T>();
    } else if constexpr (kIsKnown<T>) {
      fill_known(value);
    } else if constexpr (kIsOptional<T>) {
      fill(value.emplace());
    } else if constexpr (kIsShared<T>) {
      value = std::make_shared<const typename T::element_type>(
          make<std::remove_const_t<typename T::element_type>>());
    } else if constexpr (kIsVector<T>) {
      fill_vector(value);
    } else if constexpr (kIsMap<T>) {
      for (int i = 0; i < 2; ++i) {
        auto element = make<typename T::mapped_type>();
        value.emplace(element.id, std::move(element));
      }
    } else if constexpr (kIsArray<T>) {
      for (auto& element : value) fill(element);
    } else if constexpr (std::same_as<T, syscalls::CapturedMemory>) {
      for (const std::size_t size : {5U, 0U, 3U}) {
        const auto text = make<std::string>();
        value.add(make<base::RemoteAddr>(),
                  std::as_bytes(std::span{text.data(), std::min(size, text.size())}));
      }
    } else {
      std::apply([&](auto&... member) { (fill(member), ...); }, members(value));
    }
  }

 private:
  // Large, of both signs, never the same twice.
  template <class T>
  T number() {
    const std::uint64_t spread = ++count_ * 0x9e3779b97f4a7c15U;
    return static_cast<T>(static_cast<T>(spread >> 13U) | T{1});
  }

  template <class T>
  void fill_known(model::Known<T>& value) {
    switch (facts_) {
      case Facts::kKnown:
        value = make<T>();
        break;
      case Facts::kUnknown:
        value = model::unknown(make<std::string>());
        break;
      case Facts::kZero:  // a zero that is known, an empty list that is known
        value = T{};
        break;
    }
  }

  template <class List>
  void fill_vector(List& value) {
    using T = typename List::value_type;
    if constexpr (kIsVariant<T>) {
      [&]<std::size_t... I>(std::index_sequence<I...>) {
        (value.emplace_back(std::in_place_index<I>, make<std::variant_alternative_t<I, T>>()), ...);
      }(std::make_index_sequence<std::variant_size_v<T>>{});
    } else {
      for (int i = 0; i < 2; ++i) value.push_back(make<T>());
    }
  }

  Facts facts_;
  std::uint64_t count_ = 0;
};

template <class T>
bool same(const T& a, const T& b) {
  if constexpr (kIsKnown<T>) {
    return a.has_value() == b.has_value() && (a ? same(*a, *b) : a.error() == b.error());
  } else if constexpr (kIsOptional<T> || kIsShared<T>) {
    return static_cast<bool>(a) == static_cast<bool>(b) && (!a || same(*a, *b));
  } else if constexpr (kIsVariant<T>) {
    return a.index() == b.index() && std::visit(
                                         [&](const auto& value) {
                                           using V = std::remove_cvref_t<decltype(value)>;
                                           return same(value, std::get<V>(b));
                                         },
                                         a);
  } else if constexpr (kIsVector<T>) {
    return std::ranges::equal(a, b, [](const auto& x, const auto& y) { return same(x, y); });
  } else if constexpr (kIsMap<T>) {
    return std::ranges::equal(a, b, [](const auto& x, const auto& y) {
      return x.first == y.first && same(x.second, y.second);
    });
  } else if constexpr (std::same_as<T, syscalls::CapturedMemory>) {
    return std::ranges::equal(a.ranges(), b.ranges(), [&](const auto& x, const auto& y) {
      return x == y && std::ranges::equal(a.bytes(x), b.bytes(y));
    });
  } else if constexpr (requires { a == b; }) {
    return a == b;
  } else {
    const auto x = members(a);
    const auto y = members(b);
    return [&]<std::size_t... I>(std::index_sequence<I...>) {
      return (same(std::get<I>(x), std::get<I>(y)) && ...);
    }(std::make_index_sequence<std::tuple_size_v<decltype(x)>>{});
  }
}

// Calls `visit` with one default value of every kind of event.
template <class Visit>
void for_each_kind(Visit visit) {
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    (visit(std::variant_alternative_t<I, model::EventData>{}), ...);
  }(std::make_index_sequence<std::variant_size_v<model::EventData>>{});
}

}  // namespace stucktrace::record
