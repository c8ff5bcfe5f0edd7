#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <protozero/types.hpp>
#include <protozero/varint.hpp>
#include <ranges>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>

#include "syscalls/memory.h"
#include "tracer/record/archive_traits.h"
#include "tracer/record/fields_snapshot.h"

namespace stucktrace::record {

inline void append_varint(std::string& out, std::uint64_t value) {
  if (value < 0x80) {
    out.push_back(static_cast<char>(value));
    return;
  }
  std::array<char, protozero::max_varint_length> bytes;
  const int size = protozero::add_varint_to_buffer(bytes.data(), value);
  out.append(bytes.data(), static_cast<std::size_t>(size));
}

inline void append_key(std::string& out, protozero::pbf_tag_type tag,
                       protozero::pbf_wire_type type) {
  append_varint(out, (std::uint64_t{tag} << 3U) | static_cast<std::uint64_t>(type));
}

// A length-delimited field whose content is what is appended while this lives. Same bytes as
// protozero's own nesting; that leaves room for the largest length and then moves every content
// together, this for the shortest, which nearly all messages of a trace have.
class Nested {
 public:
  Nested(std::string& out, protozero::pbf_tag_type tag) : out_(out) {
    append_key(out, tag, protozero::pbf_wire_type::length_delimited);
    out.push_back('\0');
    begin_ = out.size();
  }
  ~Nested() {
    const std::uint64_t size = out_.size() - begin_;
    if (size < 0x80) {
      out_[begin_ - 1] = static_cast<char>(size);
      return;
    }
    std::array<char, protozero::max_varint_length> bytes;
    const int length = protozero::add_varint_to_buffer(bytes.data(), size);
    out_.replace(begin_ - 1, 1, bytes.data(), static_cast<std::size_t>(length));
  }
  Nested(const Nested&) = delete;
  Nested& operator=(const Nested&) = delete;

 private:
  std::string& out_;
  std::size_t begin_ = 0;
};

// The writing archive of Fields<T>::visit: appends the fields of one message to `out`.
class Encoder {
 public:
  // Instants are written as differences to `origin`.
  Encoder(std::string& out, base::Instant origin) : out_(&out), origin_(origin) {}

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
    bool empty = false;
    {
      const Nested open(*out_, tag);
      const std::size_t begin = out_->size();
      Encoder inner{*out_, origin_};
      body(inner);
      empty = out_->size() == begin;
    }
    // An empty message is left out, except where its presence is the fact.
    if (empty && absent == Absent::kIfDefault) out_->resize(before);
  }

  void put_bytes(protozero::pbf_tag_type tag, std::string_view bytes) {
    append_key(*out_, tag, protozero::pbf_wire_type::length_delimited);
    append_varint(*out_, bytes.size());
    *out_ += bytes;
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
      append_key(*out_, tag, protozero::pbf_wire_type::varint);
      if constexpr (kZigzag<T>) {
        append_varint(*out_, protozero::encode_zigzag64(value));
      } else {
        // char is a letter here, never a number.
        using Unsigned = std::conditional_t<std::same_as<T, char>, unsigned char, T>;
        append_varint(*out_, static_cast<Unsigned>(value));
      }
    }
  }

  template <class T>
  void put(protozero::pbf_tag_type tag, const T& value, Absent absent) {
    if constexpr (Scalar<T>) {
      put_scalar(tag, value, absent);
    } else if constexpr (std::same_as<T, std::string>) {
      if (absent == Absent::kNever || !value.empty()) put_bytes(tag, value);
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
          inner.put_bytes(2, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
        });
      }
    } else if constexpr (std::same_as<T, std::array<std::uint64_t, 6>>) {
      // Most calls have three arguments or fewer: zeros at the end are left out.
      auto last = value.end();
      while (last != value.begin() && *(last - 1) == 0) --last;
      if (last == value.begin()) return;
      const Nested packed(*out_, tag);
      for (auto at = value.begin(); at != last; ++at) append_varint(*out_, *at);
    } else {
      message(tag, absent, [&](Encoder& inner) { Fields<T>::visit(inner, value); });
    }
  }

  std::string* out_;
  base::Instant origin_;
};

}  // namespace stucktrace::record
