#pragma once

#include <array>
#include <cstddef>
#include <protozero/pbf_reader.hpp>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

#include "syscalls/memory.h"
#include "tracer/record/archive_traits.h"
#include "tracer/record/fields_snapshot.h"

namespace stucktrace::record {

// Bytes that do not follow the format; thrown beside protozero's own exceptions and caught with
// them at the layer's edge (codec.cc).
struct BadMessage {};

// What all messages inside one frame share.
struct DecodeContext {
  base::Instant origin;    // instants are differences to it
  std::size_t budget = 0;  // bytes of memory that list elements may still take

  void charge(std::size_t bytes) {
    if (bytes > budget) throw BadMessage{};
    budget -= bytes;
  }
};

// Gives fresh members the value that an absent field means: zero, which is not everywhere the
// model's own default (fd = -1, in_tree = true).
class Zero {
 public:
  explicit Zero(base::Instant origin) : origin_(origin) {}

  template <class T>
  void operator()(protozero::pbf_tag_type /*tag*/, T& value) {
    if constexpr (std::same_as<T, base::Instant>) {
      value = origin_;
    } else if constexpr (Scalar<T>) {
      value = T{};
    } else if constexpr (requires { Fields<T>::visit(*this, value); }) {
      Fields<T>::visit(*this, value);
    }
  }
  template <class T>
  void known(protozero::pbf_tag_type /*tag*/, protozero::pbf_tag_type /*because*/,
             model::Known<T>& /*value*/) {}
  template <class T, class Variant>
  void alternative(protozero::pbf_tag_type /*tag*/, Variant& /*variant*/) {}

 private:
  base::Instant origin_;
};

template <class T>
void decode_fields(protozero::data_view bytes, T& value, DecodeContext& context);

// The reading archive of Fields<T>::visit: takes the field the reader stands on into the member
// that has its number. A field of another wire type than expected is left, and so skipped.
class Decoder {
 public:
  Decoder(protozero::pbf_reader& field, DecodeContext& context)
      : field_(&field), context_(&context) {}

  bool taken() const { return taken_; }

  template <class T>
  void operator()(protozero::pbf_tag_type tag, T& value) {
    if (is(tag)) taken_ = take(value);
  }

  template <class T>
  void known(protozero::pbf_tag_type tag, protozero::pbf_tag_type because, model::Known<T>& value) {
    if (is(tag)) {
      T fresh = make<T>();
      if constexpr (kIsVector<T>) {
        if (!of_type(protozero::pbf_wire_type::length_delimited)) return;
        protozero::pbf_reader list{field_->get_view()};
        while (list.next()) {
          Decoder element{list, *context_};
          element(1, fresh);
          if (!element.taken()) list.skip();
        }
        taken_ = true;
      } else {
        taken_ = take(fresh);
      }
      if (taken_) value = std::move(fresh);
    } else if (is(because)) {
      std::string text;
      taken_ = take(text);
      if (taken_) value = model::unknown(std::move(text));
    }
  }

  template <class T, class Variant>
  void alternative(protozero::pbf_tag_type tag, Variant& variant) {
    if (!is(tag)) return;
    T fresh = make<T>();
    taken_ = take(fresh);
    if (taken_) variant.template emplace<T>(std::move(fresh));
  }

 private:
  bool is(protozero::pbf_tag_type tag) const { return !taken_ && field_->tag() == tag; }
  bool of_type(protozero::pbf_wire_type type) const { return field_->wire_type() == type; }

  template <class T>
  T make() {
    T value{};
    Zero{context_->origin}(0, value);
    return value;
  }

  template <Scalar T>
  T scalar() {
    if constexpr (kIsId<T>) {
      return T{scalar<typename T::Representation>()};
    } else if constexpr (std::same_as<T, base::Nanoseconds>) {
      return base::Nanoseconds{scalar<std::int64_t>()};
    } else if constexpr (std::same_as<T, base::Instant>) {
      return advance(context_->origin, scalar<std::int64_t>());
    } else if constexpr (std::is_enum_v<T>) {
      const std::uint64_t number = field_->get_uint64();
      return number <= static_cast<std::uint64_t>(EnumRange<T>::kLast) ? static_cast<T>(number)
                                                                       : EnumRange<T>::kFallback;
    } else if constexpr (kZigzag<T>) {
      return static_cast<T>(field_->get_sint64());
    } else if constexpr (std::same_as<T, bool>) {
      return field_->get_uint64() != 0;
    } else {
      return static_cast<T>(field_->get_uint64());
    }
  }

  // Reads the field into `value`; false if its wire type is not the one T has.
  template <class T>
  bool take(T& value) {
    if constexpr (Scalar<T>) {
      if (!of_type(protozero::pbf_wire_type::varint)) return false;
      value = scalar<T>();
      return true;
    } else if constexpr (kIsVector<T>) {
      context_->charge(sizeof(typename T::value_type));
      auto element = make<typename T::value_type>();
      if (!take(element)) return false;
      value.push_back(std::move(element));
      return true;
    } else if constexpr (kIsMap<T>) {
      context_->charge(sizeof(typename T::value_type));
      auto element = make<typename T::mapped_type>();
      if (!take(element)) return false;
      const auto key = element.id;
      value.insert_or_assign(key, std::move(element));
      return true;
    } else if constexpr (kIsOptional<T>) {
      auto element = make<typename T::value_type>();
      if (!take(element)) return false;
      value = std::move(element);
      return true;
    } else if constexpr (kIsShared<T>) {
      auto element = std::make_shared<std::remove_const_t<typename T::element_type>>();
      Zero{context_->origin}(0, *element);
      if (!take(*element)) return false;
      value = std::move(element);
      return true;
    } else {
      if (!of_type(protozero::pbf_wire_type::length_delimited)) return false;
      take_bytes(field_->get_view(), value);
      return true;
    }
  }

  template <class T>
  void take_bytes(protozero::data_view bytes, T& value) {
    if constexpr (std::same_as<T, std::string>) {
      value.assign(bytes.data(), bytes.size());
    } else if constexpr (std::same_as<T, syscalls::CapturedMemory>) {
      context_->charge(sizeof(syscalls::CapturedMemory::Range));
      base::RemoteAddr address;
      protozero::data_view content;
      protozero::pbf_reader range{bytes};
      while (range.next()) {
        if (range.tag_and_type() == protozero::tag_and_type(1, protozero::pbf_wire_type::varint)) {
          address = base::RemoteAddr{range.get_uint64()};
        } else if (range.tag_and_type() ==
                   protozero::tag_and_type(2, protozero::pbf_wire_type::length_delimited)) {
          content = range.get_view();
        } else {
          range.skip();
        }
      }
      value.add(address, std::as_bytes(std::span{content.data(), content.size()}));
    } else if constexpr (std::same_as<T, std::array<std::uint64_t, 6>>) {
      const char* at = bytes.data();
      const char* const end = at + bytes.size();
      for (std::size_t i = 0; i < value.size() && at != end; ++i) {
        value[i] = protozero::decode_varint(&at, end);
      }
    } else {
      decode_fields(bytes, value, *context_);
    }
  }

  protozero::pbf_reader* field_;
  DecodeContext* context_;
  bool taken_ = false;
};

// Reads one message into `value`, which must be fresh (Zero). Throws BadMessage or one of
// protozero's exceptions.
template <class T>
void decode_fields(protozero::data_view bytes, T& value, DecodeContext& context) {
  protozero::pbf_reader reader{bytes};
  while (reader.next()) {
    Decoder decoder{reader, context};
    Fields<T>::visit(decoder, value);
    if (!decoder.taken()) reader.skip();
  }
}

}  // namespace stucktrace::record
