#pragma once

#include <string>
#include <string_view>

namespace stucktrace::test {

// Expects `actual` to be the text of tests/unit/render/golden/NAME. With STUCKTRACE_UPDATE=1 the
// file is rewritten instead: look at the difference before keeping it.
void expect_golden(std::string_view name, const std::string& actual);

// The text has nothing in it that a terminal acts on, newlines aside.
bool terminal_safe(std::string_view text);

}  // namespace stucktrace::test
