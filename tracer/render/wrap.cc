#include "tracer/render/wrap.h"

#include "tracer/base/text.h"
#include "tracer/render/escape.h"

namespace stucktrace::render {

std::string wrapped(std::string_view safe, std::string_view first, std::string_view rest,
                    std::size_t width) {
  std::string out(first);
  std::size_t column = columns(first);
  bool begun = false;
  for (const std::string_view word : base::split(safe, ' ')) {
    const std::size_t size = columns(word);
    if (begun && width != 0 && column + 1 + size > width) {
      out += '\n';
      out += rest;
      column = columns(rest);
      begun = false;
    }
    if (begun) {
      out += ' ';
      ++column;
    }
    out += word;
    column += size;
    begun = true;
  }
  return out + '\n';
}

}  // namespace stucktrace::render
