#pragma once

#include <string>
#include <string_view>

#include "tracer/base/result.h"

namespace stucktrace::cli {

// Finds a command as a shell does: a name with a slash is a path, else the first executable file of
// that name in `search_path` (the PATH variable's value). Errors: kGone = no such command (exit
// 127); kDenied = found, but it is a directory or has no execute permission (exit 126).
base::Result<std::string> find_command(const std::string& name, std::string_view search_path);

}  // namespace stucktrace::cli
