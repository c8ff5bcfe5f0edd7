#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace stucktrace::render {

// Breaks safe text at blanks so that no line is wider than `width` columns (0: never): the first
// line begins with `first`, the others with `rest`. A word that is too long stays whole. Ends with
// a newline.
std::string wrapped(std::string_view safe, std::string_view first, std::string_view rest,
                    std::size_t width);

}  // namespace stucktrace::render
