#pragma once

#include <utility>

namespace stucktrace::base {

// Runs an action at the end of the scope unless cancelled.
template <class Action>
class Cleanup {
 public:
  explicit Cleanup(Action action) : action_(std::move(action)) {}
  Cleanup(const Cleanup&) = delete;
  Cleanup& operator=(const Cleanup&) = delete;
  ~Cleanup() {
    if (armed_) action_();
  }
  void cancel() { armed_ = false; }

 private:
  Action action_;
  bool armed_ = true;
};

}  // namespace stucktrace::base
