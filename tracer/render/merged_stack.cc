#include "tracer/render/merged_stack.h"

#include <algorithm>
#include <cstddef>
#include <span>
#include <string_view>

#include "tracer/render/wait_text.h"

namespace stucktrace::render {
namespace {

using Lines = std::vector<std::string>;

// The two stacks of one thread, and which C frames run Python code.
class TwoStacks {
 public:
  TwoStacks(std::span<const model::NativeFrame> native, std::span<const model::PythonFrame> python)
      : native_(native), python_(python) {
    // Some versions come to the first of these by way of the second.
    for (const std::string_view name : {"_PyEval_EvalFrameDefault", "PyEval_EvalFrameEx"}) {
      for (std::size_t i = 0; i < native_.size(); ++i) {
        if (native_[i].function.starts_with(name)) running_.push_back(i);
      }
      if (!running_.empty()) break;
    }
  }

  // Each C frame that runs code stands for the Python frames up to one that was called by C.
  bool fit() const {
    const auto entries = std::ranges::count_if(python_, &model::PythonFrame::entry);
    return !running_.empty() && !python_.empty() && python_.back().entry &&
           static_cast<std::size_t>(entries) == running_.size();
  }

  Lines merged() const {
    Lines lines;
    const bool exact = fit();
    std::size_t next = 0;
    for (std::size_t i = 0; i < native_.size() && next < python_.size(); ++i) {
      if (is_running(i)) {
        if (!exact) break;
        next = add_run(next, lines);
      } else if (!is_interpreter(native_[i])) {
        add(native_[i], lines);
      } else if (running_.empty()) {
        break;  // without names: whatever lies further out may run code
      }
    }
    while (next < python_.size()) next = add_run(next, lines);
    return lines;
  }

  Lines all() const {
    Lines lines;
    const bool exact = fit();
    std::size_t next = 0;
    while (!exact && next < python_.size()) next = add_run(next, lines);
    for (std::size_t i = 0; i < native_.size(); ++i) {
      if (exact && is_running(i)) next = add_run(next, lines);
      add(native_[i], lines);
    }
    return lines;
  }

 private:
  bool is_running(std::size_t index) const { return std::ranges::binary_search(running_, index); }

  // A frame of the program or library that the interpreter is in.
  bool is_interpreter(const model::NativeFrame& frame) const {
    if (!running_.empty()) return frame.module == native_[running_.front()].module;
    const std::string_view name =
        std::string_view{frame.module}.substr(frame.module.rfind('/') + 1);
    return name.starts_with("python") || name.starts_with("libpython");
  }

  static void add(const model::NativeFrame& frame, Lines& lines) {
    lines.push_back("at " + frame_text(frame));
  }
  // The Python frames from `first` to the next that was called by C; returns the one after.
  std::size_t add_run(std::size_t first, Lines& lines) const {
    for (; first < python_.size(); ++first) {
      lines.push_back("py " + frame_text(python_[first]));
      if (python_[first].entry) return first + 1;
    }
    return first;
  }

  std::span<const model::NativeFrame> native_;
  std::span<const model::PythonFrame> python_;
  std::vector<std::size_t> running_;
};

}  // namespace

std::vector<std::string> stack_lines(std::span<const model::NativeFrame> native,
                                     std::span<const model::PythonFrame> python,
                                     NativeFrames which) {
  const TwoStacks stacks{native, python};
  const bool merge = which == NativeFrames::kMerged && !python.empty();
  return merge ? stacks.merged() : stacks.all();
}

std::vector<std::string> stack_lines(const model::Thread& thread, NativeFrames which) {
  return stack_lines(thread.stack, thread.python, which);
}

}  // namespace stucktrace::render
