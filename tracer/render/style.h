#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace stucktrace::render {

enum class Style : std::uint8_t { kPlain, kBold, kDim, kAlarm, kWarn, kGood, kName };

// Puts terminal colours round already safe text, or not.
class Painter {
 public:
  explicit Painter(bool color) : color_(color) {}
  std::string operator()(Style style, std::string_view safe) const;

 private:
  bool color_;
};

}  // namespace stucktrace::render
