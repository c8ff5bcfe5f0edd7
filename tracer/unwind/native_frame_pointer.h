#pragma once

#include <cstdint>
#include <optional>

#include "tracer/unwind/stack_walk.h"

namespace stucktrace::unwind {

// What is known of a frame that keeps its caller by frame pointer, without its registers.
struct FramePointerQuery {
  std::uint64_t function = 0;       // where the function starts
  std::uint64_t pc = 0;             // where it is now, past its prologue
  std::uint64_t stack_pointer = 0;  // what the stack pointer is in this frame
  bool moves = false;               // the stack pointer may be lower than the prologue left it
};

// The frame pointer of such a frame, where the code and the stack together prove it: the prologue
// ("push rbp; mov rbp,rsp; push ...; sub rsp,N", other moves between) says how far it lies above
// the stack pointer, and the word above it must be a return address behind a call instruction, or
// where the handler of a signal returns to. A prologue that cannot be read to its end gives only a
// lower bound; then the first return address above it must follow a direct call of this very
// function, and be the only one near that does. nullopt where neither holds, and on other machines
// than x86-64.
std::optional<std::uint64_t> deduce_frame_pointer(const FramePointerQuery& query,
                                                  const ReadBytes& read_stack,
                                                  const ReadBytes& read_code);

// Whether this is what the kernel lets the handler of a signal return to: mov rax,15; syscall
// (sigreturn(2)). False on other machines than x86-64.
bool is_signal_return(std::uint64_t address, const ReadBytes& read_code);

}  // namespace stucktrace::unwind
