#pragma once

#include <cstddef>
#include <memory>

#include "tracer/unwind/native_modules.h"
#include "tracer/unwind/stack_walk.h"

namespace stucktrace::unwind {

// Walks copied stacks of one process with libunwind. Registers other than the stack pointer and the
// program counter are unknown until a frame is found where they were saved.
class NativeUnwinder {
 public:
  static constexpr std::size_t kMaxFrames = 256;

  explicit NativeUnwinder(NativeModules& modules);
  NativeUnwinder(const NativeUnwinder&) = delete;
  NativeUnwinder& operator=(const NativeUnwinder&) = delete;
  ~NativeUnwinder();

  // Reads what is not in the copy from the mapped files or, bounded, from the live process: the
  // caller proves afterwards that the thread has not moved.
  Walk walk(const StackCopy& copy);
  // The mappings were read again: forgets what was learnt about their code.
  void forget();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace stucktrace::unwind
