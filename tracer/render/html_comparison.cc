#include "tracer/render/html_comparison.h"

#include <fmt/format.h>

#include <string_view>

#include "tracer/base/text.h"
#include "tracer/render/comparison_text.h"
#include "tracer/render/escape.h"

namespace stucktrace::render {
namespace {

// What the baseline alone and what the run alone has stands out.
std::string story_html(std::string_view story) {
  std::string out;
  for (const std::string_view line : base::split(base::trim(story), '\n')) {
    const std::string text = xml_text(line);
    if (line.starts_with("  - ")) {
      out += fmt::format("<del>{}</del>\n", text);
    } else if (line.starts_with("  + ")) {
      out += fmt::format("<ins>{}</ins>\n", text);
    } else {
      out += text + "\n";
    }
  }
  return out;
}

std::string article(const Mismatch& mismatch, std::size_t number) {
  return fmt::format(
      "<article class=\"finding error\" id=\"mismatch-{}\" tabindex=\"0\">\n<h3>{}</h3>\n"
      "<p>{}</p>\n<pre>{}</pre>\n</article>\n",
      number, xml_text(mismatch.name), xml_text(mismatch.headline), story_html(mismatch.story));
}

}  // namespace

std::string comparison_head_html(const model::Comparison& comparison, bool is_verdict) {
  std::string sentence = xml_text(comparison_sentence(comparison));
  if (comparison.passed()) {
    return fmt::format("  <p class=\"compared calm\">{}</p>\n", sentence);
  }
  if (is_verdict) sentence = "To what differs or does not hold";
  return fmt::format("  <p class=\"compared error\"><a href=\"#comparison\">{}</a></p>\n",
                     sentence);
}

std::string comparison_html(const model::Comparison& comparison) {
  if (comparison.passed()) return "";
  std::string out =
      "  <section id=\"comparison\" aria-label=\"Comparison\">\n<h2>Comparison</h2>\n";
  if (!comparison.failure.empty()) {
    out += fmt::format("<p>{}</p>\n", xml_text(comparison_sentence(comparison)));
  }
  std::size_t number = 0;
  for (const Mismatch& mismatch : mismatches(comparison)) out += article(mismatch, number++);
  return out + "  </section>\n";
}

}  // namespace stucktrace::render
