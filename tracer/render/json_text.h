#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace stucktrace::render {

// JSON on one line, written to the end of a text part by part: a report of a thousand threads would
// else be built as a tree of some hundred thousand nodes first. Keys are literals without anything
// to escape.

// Invalid UTF-8 is replaced.
inline std::string json_text(const nlohmann::ordered_json& value) {
  return value.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
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
  void end() { out_ += ']'; }

 private:
  std::string& out_;
  bool empty_ = true;
};

}  // namespace stucktrace::render
