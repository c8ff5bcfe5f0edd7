#pragma once

#include <algorithm>
#include <cstddef>
#include <protozero/pbf_writer.hpp>
#include <ranges>
#include <string>
#include <type_traits>
#include <variant>

#include "syscalls/memory.h"
#include "tracer/record/archive_traits.h"
#include "tracer/record/fields_snapshot.h"

namespace stucktrace::record {

// The writing archive of Fields<T>::visit: appends the fields of one message to `out`.
class Encoder {
 public:
  // Instants are written as differences to `origin`.
  Encoder(std::string& out, base::Instant origin) : out_(&out), writer_(out), origin_(origin) {}

  template <class T>
  void operator()(protozero::pbf_tag_type tag, const T& value) {
    put(tag, value, Absent::kIfDefault);
  }

  template <class T>
  void known(protozero::pbf_tag_type tag, protozero::pbf_tag_type because,
             const model::Known<T>& value) {
    if (!value) {
      put(because, value.error().because, Absent::kNever);
    } else if constexpr (kIsVector<T>) {
      // A list known to be empty differs from a list that is not known: it gets a message round it.
      message(tag, Absent::kNever, [&](Encoder& list) { list(1, *value); });
    } else {
      put(tag, *value, Absent::kNever);
    }
  }

  template <class T, class Variant>
  void alternative(protozero::pbf_tag_type tag, const Variant& variant) {
    if (const T* value = std::get_if<T>(&variant)) put(tag, *value, Absent::kNever);
  }

 private:
  enum class Absent { kIfDefault, kNever };

  template <class Body>
  void message(protozero::pbf_tag_type tag, Absent absent, Body body) {
    const std::size_t before = out_->size();
    {
      protozero::pbf_writer open{writer_, tag};
      Encoder inner{*out_, origin_};
      body(inner);
    }
    // protozero takes an empty message back; here its presence may be the fact.
    if (absent == Absent::kNever && out_->size() == before) writer_.add_bytes(tag, "", 0);
  }

  template <Scalar T>
  void put_scalar(protozero::pbf_tag_type tag, const T& value, Absent absent) {
    if constexpr (kIsId<T>) {
      put_scalar(tag, value.value(), absent);
    } else if constexpr (std::is_enum_v<T>) {
      put_scalar(tag, static_cast<std::uint64_t>(value), absent);
    } else if constexpr (std::same_as<T, base::Nanoseconds>) {
      put_scalar(tag, value.count(), absent);
    } else if constexpr (std::same_as<T, base::Instant>) {
      put_scalar(tag, difference(value, origin_), absent);
    } else if (absent == Absent::kNever || value != T{}) {
      if constexpr (kZigzag<T>) {
        writer_.add_sint64(tag, value);
      } else {
        // char is a letter here, never a number.
        using Unsigned = std::conditional_t<std::same_as<T, char>, unsigned char, T>;
        writer_.add_uint64(tag, static_cast<Unsigned>(value));
      }
    }
  }

  template <class T>
  void put(protozero::pbf_tag_type tag, const T& value, Absent absent) {
    if constexpr (Scalar<T>) {
      put_scalar(tag, value, absent);
    } else if constexpr (std::same_as<T, std::string>) {
      if (absent == Absent::kNever || !value.empty()) writer_.add_bytes(tag, value);
    } else if constexpr (kIsVector<T>) {
      for (const auto& element : value) put(tag, element, Absent::kNever);
    } else if constexpr (kIsMap<T>) {
      for (const auto& element : value | std::views::values) put(tag, element, Absent::kNever);
    } else if constexpr (kIsOptional<T> || kIsShared<T>) {
      if (value) put(tag, *value, Absent::kNever);
    } else if constexpr (std::same_as<T, syscalls::CapturedMemory>) {
      for (const auto& range : value.ranges()) {
        const auto bytes = value.bytes(range);
        message(tag, Absent::kNever, [&](Encoder& inner) {
          inner(1, range.address);
          inner.writer_.add_bytes(2, reinterpret_cast<const char*>(bytes.data()), bytes.size());
        });
      }
    } else if constexpr (std::same_as<T, std::array<std::uint64_t, 6>>) {
      // Most calls have three arguments or fewer: zeros at the end are left out.
      auto last = value.end();
      while (last != value.begin() && *(last - 1) == 0) --last;
      writer_.add_packed_uint64(tag, value.begin(), last);
    } else {
      message(tag, absent, [&](Encoder& inner) { Fields<T>::visit(inner, value); });
    }
  }

  std::string* out_;
  protozero::pbf_writer writer_;
  base::Instant origin_;
};

}  // namespace stucktrace::record
