#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "tracer/unwind/stack_walk.h"

namespace stucktrace::unwind {

// Where walks of stacks led, and all that they read of them. Threads of a pool stand in the same
// place, each on a stack of its own. A walk is a function of the registers and of the words that it
// reads; so where another stack holds the same words at the same places (those that are addresses
// of the stack itself moved along with it), another walk would lead to the same end and is not
// made. Nothing is taken from likeness: every word is compared in the other stack's own copy.
class KnownWalks {
 public:
  // The walk that this stack gives; nullptr where it has to be made. Holds until the next call.
  const Walk* find(const StackCopy& copy);

  // A walk is made: what it reads is told by the calls below, as it is read.
  void begin();
  void read_word(const StackCopy& copy, std::uint64_t address, std::uint64_t value);
  void read_frame_pointer() { frame_pointer_read_ = true; }
  // It reads what may be another thing for another thread, or later.
  void read_elsewhere() { repeatable_ = false; }
  // Its end. Kept if it is whole and depends on nothing but what was told.
  void end(const StackCopy& copy, const Walk& walk);

  // The code has changed.
  void clear() { walks_.clear(); }

 private:
  struct Word {
    std::uint64_t offset = 0;  // from the stack pointer
    std::uint64_t value = 0;
    bool on_stack = false;  // an address of the stack that was copied
  };
  struct Known {
    std::uint64_t stack_pointer = 0;
    std::uint64_t program_counter = 0;
    bool has_frame_pointer = false;
    std::optional<Word> frame_pointer;  // read, and its value
    std::vector<Word> words;
    Walk walk;
  };

  static bool same(const Known& known, const StackCopy& copy);

  bool repeatable_ = false;
  bool frame_pointer_read_ = false;
  std::vector<Word> words_;
  // By program counter; the one found last is first.
  std::unordered_map<std::uint64_t, std::vector<Known>> walks_;
};

}  // namespace stucktrace::unwind
