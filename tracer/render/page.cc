#include "tracer/render/page.h"

#include <fmt/format.h>

#include <algorithm>

#include "tracer/base/text.h"
#include "tracer/render/escape.h"
#include "tracer/render/finding_text.h"
#include "tracer/render/wrap.h"

namespace stucktrace::render {

void Page::line(std::string_view safe, Style style) {
  text_ += paint_(style, safe);
  text_ += '\n';
}

void Page::paragraph(std::string_view safe, std::string_view first, std::string_view rest,
                     Style style) {
  const std::string block = wrapped(safe, first, rest, options_.width);
  std::string_view lines = block;
  lines.remove_suffix(1);
  for (const std::string_view each : base::split(lines, '\n')) line(each, style);
}

void Page::labelled(std::string_view label, std::string_view safe) {
  constexpr std::size_t kLabelWidth = 12;
  paragraph(safe, fmt::format("  {:<{}}", label, kLabelWidth - 2), std::string(kLabelWidth, ' '));
}

void Page::bullets(std::string_view label, const std::vector<std::string>& raw, std::size_t most) {
  for (std::size_t i = 0; i < raw.size(); ++i) {
    if (i == most) {
      labelled("", fmt::format("… and {} more (-v)", raw.size() - most));
      return;
    }
    labelled(i == 0 ? label : "", terminal_text(raw[i], kSentenceLimit));
  }
}

std::size_t Page::lines() const {
  return static_cast<std::size_t>(std::ranges::count(text_, '\n'));
}

}  // namespace stucktrace::render
