#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "tracer/unwind/stack_walk.h"

namespace stucktrace::unwind {

// A place in a frame without unwind tables.
struct BarePlace {
  std::uint64_t pc = 0;
  std::uint64_t stack_pointer = 0;
  bool after_call = false;  // pc is a return address, else the instruction that runs next
};

struct BareCaller {
  bool outermost = false;  // nobody called it, and nothing below is told
  std::uint64_t pc = 0;
  std::uint64_t stack_pointer = 0;
  bool interrupted = false;  // pc is what a signal interrupted; else a return address
  std::optional<std::uint64_t> frame_pointer;  // of what was interrupted
};

// What is known of the code at a place.
struct BareCode {
  std::optional<std::uint64_t> start;  // where its function starts
  // Where it may start; asked for where nothing else leads on.
  std::function<std::vector<std::uint64_t>()> possible_starts;
  ReadBytes read_code;  // only what is executable
  ReadBytes read_data;
};

// Finds who called code that has no unwind tables (musl's, hand-written assembly), by what the code
// itself does with the stack pointer: its instructions are followed from where the function is
// entered to where it is now, along branches and tail calls and past the calls it makes. That
// says how far above the stack pointer the return address lies. It counts only if the word there is
// the address behind a call instruction, and that call, where it is a direct one (also by way of a
// procedure linkage table), leads here with that very depth; and only if no other depth is
// confirmed so. Nothing is guessed: what code with computed jumps or a realigned stack hides is not
// found. x86-64 only.
class StackDepth {
 public:
  // Above what a thread's stack holds for one frame at most.
  static constexpr std::size_t kMaxFrame = 128 * 1024;

  std::optional<BareCaller> caller(const BarePlace& place, const BareCode& code);
  // A walk begins: its bound on instructions starts anew.
  void begin() { instructions_left_ = kMaxInstructionsOfWalk; }
  // The code has changed.
  void forget() {
    known_.clear();
    any_known_.clear();
    pointers_.clear();
  }

 private:
  static constexpr std::size_t kMaxInstructionsOfWalk = 400'000;
  // The depths that code may have at a place; below 0 it has left the frame it was entered with, as
  // what starts a thread does.
  struct Depths {
    std::vector<std::int64_t> found;
    bool open = false;  // some of its ways could not be followed to their end

    bool holds(std::int64_t depth) const;
  };
  // Of code entered at `entry`.
  Depths depths(std::uint64_t entry, const BarePlace& place, const BareCode& code);
  // Those of all possible starts.
  Depths any_depths(const BarePlace& place, const BareCode& code);
  // What the stack holds at the only depth where it confirms the code.
  std::optional<BareCaller> confirmed(const Depths& possible, const BarePlace& place,
                                      const BareCode& code);
  std::optional<BareCaller> by_direct_call(const BarePlace& place, const BareCode& code);
  // The target of the direct call before a return address; 0 where it is a call of another kind,
  // nullopt where it is none.
  std::optional<std::uint64_t> call_before(std::uint64_t return_address, const BareCode& code);
  std::optional<std::uint64_t> pointer_at(std::uint64_t address, const BareCode& code);

  std::size_t instructions_left_ = kMaxInstructionsOfWalk;
  std::map<std::tuple<std::uint64_t, std::uint64_t, bool>, Depths> known_;
  std::map<std::pair<std::uint64_t, bool>, Depths> any_known_;
  std::map<std::uint64_t, std::uint64_t> pointers_;  // of calls through memory
};

}  // namespace stucktrace::unwind
