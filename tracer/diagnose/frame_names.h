#pragma once

#include <string_view>

#include "tracer/model/snapshot.h"

namespace stucktrace::diagnose {

// "multiprocessing/util.py" matches ".../lib/python3.11/multiprocessing/util.py" and itself, never
// "my_multiprocessing/util.py".
inline bool path_ends_with(std::string_view path, std::string_view suffix) {
  if (!path.ends_with(suffix)) return false;
  return path.size() == suffix.size() || path[path.size() - suffix.size() - 1] == '/';
}

struct FrameName {
  std::string_view function;
  std::string_view file;
};

inline bool is(const model::PythonFrame& frame, const FrameName& name) {
  return frame.function == name.function && path_ends_with(frame.file, name.file);
}

// Frames further out belong to somebody else's loop.
inline constexpr std::size_t kTellingDepth = 8;

}  // namespace stucktrace::diagnose
