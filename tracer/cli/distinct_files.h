#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tracer/base/result.h"

namespace stucktrace::cli {

// A file that is read, and what it is: "the recording".
struct InputFile {
  std::string path;
  std::string_view what;
};

// Before the first output is opened, which empties it: none may be an input, or another output,
// whatever names they go by. Empty paths are none; /dev/null takes everything.
base::Result<void> check_outputs(const std::vector<InputFile>& inputs,
                                 const std::vector<std::string>& outputs);

}  // namespace stucktrace::cli
