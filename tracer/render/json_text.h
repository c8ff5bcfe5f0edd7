#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace stucktrace::render {

// JSON put together from parts that are text already: a report of a thousand threads would else be
// built as a tree of some hundred thousand nodes first. Keys are literals without anything to
// escape.

// On one line. Invalid UTF-8 is replaced.
inline std::string json_text(const nlohmann::ordered_json& value) {
  return value.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

class JsonMembers {
 public:
  void add(std::string_view key, const nlohmann::ordered_json& value) {
    add_text(key, json_text(value));
  }
  void add_text(std::string_view key, std::string_view text) {
    text_ += text_.empty() ? '{' : ',';
    (((text_ += '"') += key) += "\":") += text;
  }
  std::string text() && { return (text_.empty() ? "{" : std::move(text_)) + "}"; }

 private:
  std::string text_;
};

class JsonList {
 public:
  void add_text(std::string_view text) { (text_ += text_.empty() ? '[' : ',') += text; }
  std::string text() && { return (text_.empty() ? "[" : std::move(text_)) + "]"; }

 private:
  std::string text_;
};

}  // namespace stucktrace::render
