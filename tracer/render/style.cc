#include "tracer/render/style.h"

namespace stucktrace::render {

std::string Painter::operator()(Style style, std::string_view safe) const {
  if (!color_ || style == Style::kPlain || safe.empty()) return std::string(safe);
  // SGR sequences (ECMA-48 8.3.117) of the basic palette only: readable on light and dark.
  const char* begin = "";
  switch (style) {
    case Style::kPlain:
      break;
    case Style::kBold:
      begin = "\x1b[1m";
      break;
    case Style::kDim:
      begin = "\x1b[2m";
      break;
    case Style::kAlarm:
      begin = "\x1b[1;31m";
      break;
    case Style::kWarn:
      begin = "\x1b[33m";
      break;
    case Style::kGood:
      begin = "\x1b[32m";
      break;
    case Style::kName:
      begin = "\x1b[36m";
      break;
  }
  return std::string(begin).append(safe).append("\x1b[0m");
}

}  // namespace stucktrace::render
