#pragma once

#include <span>
#include <string>
#include <vector>

#include "tracer/model/frame.h"
#include "tracer/model/snapshot.h"

namespace stucktrace::render {

enum class NativeFrames {
  kMerged,  // Python frames stand in place of the interpreter's own C frames
  kAll,     // both, each Python frame before the C frame that runs it
};

// A thread's stack as lines, innermost first: "py FILE:LINE FUNCTION" and "at FUNCTION (MODULE)".
// Where the two stacks cannot be laid over each other exactly, the C frames that lead from the
// innermost Python frame to where the thread waits come first, then all of Python's.
std::vector<std::string> stack_lines(std::span<const model::NativeFrame> native,
                                     std::span<const model::PythonFrame> python,
                                     NativeFrames which);
std::vector<std::string> stack_lines(const model::Thread& thread, NativeFrames which);

}  // namespace stucktrace::render
