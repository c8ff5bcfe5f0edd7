#pragma once

#include <string_view>

namespace stucktrace::render {

// The files of render/html/, built into the program (scripts/cmake/embed.cmake).
extern const std::string_view kPageHtml;
extern const std::string_view kPageCss;
extern const std::string_view kGraphJs;
extern const std::string_view kTimelineJs;

}  // namespace stucktrace::render
