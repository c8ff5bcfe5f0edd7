#pragma once

#include <algorithm>
#include <charconv>
#include <concepts>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

namespace stucktrace::render {

// JSON on one line, written to the end of a text part by part: a report of a thousand threads would
// else be built as a tree of some hundred thousand nodes first. Keys are literals without anything
// to escape.

// Invalid UTF-8 is replaced.
inline std::string json_text(const nlohmann::ordered_json& value) {
  return value.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

inline void append_json_string(std::string_view text, std::string& out) {
  // Most texts are names that stand for themselves.
  const bool plain = std::ranges::all_of(
      text, [](char c) { return c >= ' ' && c <= '~' && c != '"' && c != '\\'; });
  if (plain) {
    ((out += '"') += text) += '"';
  } else {
    out += json_text(text);
  }
}

template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};

// What is simple is written without a node of the library, which costs many times as much.
template <class T>
void append_json(const T& value, std::string& out) {
  // The library's own values would be taken for texts.
  constexpr bool kIsText =
      std::convertible_to<const T&, std::string_view> && !std::same_as<T, nlohmann::ordered_json>;
  if constexpr (std::same_as<T, bool>) {
    out += value ? "true" : "false";
  } else if constexpr (std::integral<T>) {
    char digits[24];
    out.append(digits, std::to_chars(digits, std::end(digits), value).ptr);
  } else if constexpr (kIsText) {
    append_json_string(value, out);
  } else if constexpr (IsOptional<T>::value) {
    if (value) {
      append_json(*value, out);
    } else {
      out += "null";
    }
  } else {
    out += json_text(value);
  }
}

// An object. What is written between start() and the next call is the member's value.
class JsonMembers {
 public:
  explicit JsonMembers(std::string& out) : out_(out) { out_ += '{'; }
  void start(std::string_view key) {
    if (!empty_) out_ += ',';
    empty_ = false;
    (((out_ += '"') += key) += "\":");
  }
  template <class T>
  void add(std::string_view key, const T& value) {
    start(key);
    append_json(value, out_);
  }
  void add(std::string_view key, const nlohmann::ordered_json& value) {
    start(key);
    out_ += json_text(value);
  }
  void end() { out_ += '}'; }

 private:
  std::string& out_;
  bool empty_ = true;
};

// An array, likewise.
class JsonItems {
 public:
  explicit JsonItems(std::string& out) : out_(out) { out_ += '['; }
  void start() {
    if (!empty_) out_ += ',';
    empty_ = false;
  }
  template <class T>
  void add(const T& value) {
    start();
    append_json(value, out_);
  }
  void end() { out_ += ']'; }

 private:
  std::string& out_;
  bool empty_ = true;
};

// Of ids as their numbers.
template <class Ids>
void append_json_ids(const Ids& ids, std::string& out) {
  JsonItems items{out};
  for (const auto id : ids) items.add(id.value());
  items.end();
}

}  // namespace stucktrace::render
