#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace stucktrace::model {

// ---- one frame of a thread's stack --------------------------------------------------------------

struct NativeFrame {
  std::uint64_t pc = 0;
  std::string function;  // demangled; "" unknown
  std::string module;    // file name of the mapping
  std::uint64_t offset = 0;
  std::string file;  // source, "" unknown
  int line = 0;
  bool operator==(const NativeFrame&) const = default;
};

// A thread's frames, innermost first. Copies share them until one is changed, and so do the threads
// of a pool, which stand at one place by the thousand.
class Stack {
 public:
  using Frames = std::vector<NativeFrame>;
  using value_type = NativeFrame;
  Stack() = default;
  explicit Stack(Frames frames) : frames_(std::make_shared<Frames>(std::move(frames))) {}
  Stack(std::initializer_list<NativeFrame> frames) : Stack(Frames(frames)) {}

  const Frames& frames() const {
    static const Frames kNone;
    return frames_ ? *frames_ : kNone;
  }
  // To be changed: a copy of its own if it is shared.
  Frames& edit() {
    if (!frames_ || frames_.use_count() > 1) frames_ = std::make_shared<Frames>(frames());
    return *frames_;
  }
  void push_back(NativeFrame frame) { edit().push_back(std::move(frame)); }
  void clear() { frames_.reset(); }

  auto begin() const { return frames().begin(); }
  auto end() const { return frames().end(); }
  auto rbegin() const { return frames().rbegin(); }
  auto rend() const { return frames().rend(); }
  const NativeFrame* data() const { return frames().data(); }
  std::size_t size() const { return frames().size(); }
  bool empty() const { return frames().empty(); }
  const NativeFrame& operator[](std::size_t at) const { return frames()[at]; }
  const NativeFrame& front() const { return frames().front(); }
  bool operator==(const Stack& other) const {
    return frames_ == other.frames_ || frames() == other.frames();
  }

 private:
  std::shared_ptr<Frames> frames_;
};

struct PythonFrame {
  std::string function;
  std::string file;
  int line = 0;
  // Called by C code, so that a C frame of the interpreter begins with it; those further in, up to
  // the next such one, run in the same C frame.
  bool entry = false;
  bool operator==(const PythonFrame&) const = default;
};

}  // namespace stucktrace::model
