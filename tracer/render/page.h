#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "tracer/render/style.h"
#include "tracer/render/text_report.h"

namespace stucktrace::render {

// The paper a text report is written on: wrapping, indents and colours. Takes safe text only, but
// for `bullets`, which escapes.
class Page {
 public:
  explicit Page(const TextOptions& options) : options_(options), paint_(options.color) {}

  // One paragraph; the first line begins with `first`, the others with `rest`.
  void paragraph(std::string_view safe, std::string_view first, std::string_view rest,
                 Style style = Style::kPlain);
  // "  Why       ...", the rest indented below the text.
  void labelled(std::string_view label, std::string_view safe);
  // A label and one paragraph each; after `most` only their number.
  void bullets(std::string_view label, const std::vector<std::string>& raw, std::size_t most);
  // As it is, one line without its newline.
  void line(std::string_view safe, Style style = Style::kPlain);
  void append(const Page& other) { text_ += other.text_; }

  std::size_t lines() const;
  const TextOptions& options() const { return options_; }
  std::string take() { return std::move(text_); }

 private:
  TextOptions options_;
  Painter paint_;
  std::string text_;
};

}  // namespace stucktrace::render
