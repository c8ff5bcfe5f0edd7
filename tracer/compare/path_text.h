#pragma once

#include <string>
#include <string_view>

#include "tracer/compare/normalise.h"

namespace stucktrace::compare {

// A path without what one run alone has in it: besides what Normaliser takes out, names as
// mkstemp(3), compilers and version control systems make them up.
std::string path_text(std::string_view path, const Normaliser& normalise);

// Between quotation marks, those inside escaped: names in it are not those of the trace. The text
// is one that may be printed; what base::escape_text() wrote in it stays.
std::string quoted(std::string_view text);

// Nothing that a program does there on its own account: devices, /proc, caches of interpreters,
// services of the C library.
bool is_runtime_path(std::string_view path);

// "python3" of /usr/bin/python3.11, "gcc" of /usr/bin/x86_64-linux-gnu-gcc-12.
std::string program_name(std::string_view exe, const Normaliser& normalise);

}  // namespace stucktrace::compare
