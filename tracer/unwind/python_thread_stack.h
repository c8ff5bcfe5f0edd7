#pragma once

#include <memory>
#include <vector>

#include "tracer/base/ids.h"
#include "tracer/model/frame.h"

namespace stucktrace::unwind {

// The CPython frames of one thread at a time, again and again of the same process: which
// interpreter it is, and where its data lies, is found once. For a thread that stands still (in a
// ptrace-stop) while others may run.
class PythonThreadStack {
 public:
  explicit PythonThreadStack(base::Pid pid);
  PythonThreadStack(PythonThreadStack&&) noexcept;
  PythonThreadStack& operator=(PythonThreadStack&&) noexcept;
  ~PythonThreadStack();

  // Innermost first. Empty: no CPython process, a version whose layout is not known, a thread that
  // runs no Python code, or memory that does not read as frames.
  std::vector<model::PythonFrame> frames(base::Tid tid);
  // Another program, or a library that may be an interpreter: look again what it is.
  void mappings_changed();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace stucktrace::unwind
