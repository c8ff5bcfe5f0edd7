#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tracer/base/ids.h"
#include "tracer/unwind/native_modules.h"

namespace stucktrace::unwind {

// A thread's stack as copied from the process.
struct StackCopy {
  base::Tid tid;
  std::uint64_t stack_pointer = 0;
  std::uint64_t program_counter = 0;
  std::optional<std::uint64_t> frame_pointer;  // known only of a thread that was stopped
  std::uint64_t start = 0;  // address of bytes[0]; below the stack pointer by the red zone
  std::span<const std::byte> bytes;
};

struct CodeAddress {
  std::uint64_t pc = 0;
  // The instruction at pc itself is meant (innermost frame, or one interrupted by a signal); else
  // pc is a return address and the call lies before it.
  bool exact = false;
};

struct Walk {
  std::vector<CodeAddress> frames;  // innermost first
  std::string note;                 // "" complete
  bool unknown_code = false;        // ended at an address outside all mappings known
};

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
