#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <tuple>
#include <utility>

#include "tracer/unwind/code_follower.h"

namespace stucktrace::unwind {

struct BareCaller {
  bool outermost = false;  // nobody called it, and nothing below is told
  std::uint64_t pc = 0;
  std::uint64_t stack_pointer = 0;
  bool interrupted = false;  // pc is what a signal interrupted; else a return address
  std::optional<std::uint64_t> frame_pointer;  // of what was interrupted
};

// Finds who called code that has no unwind tables (musl's, hand-written assembly), by what the code
// itself does with the stack pointer from where the function is entered to where it is now. That
// says how far above the stack pointer the return address lies. It counts only if the word there is
// the address behind a call instruction, and that call, where it is a direct one (also by way of a
// procedure linkage table), leads here with that very depth as far as can be seen; and only if no
// other depth is confirmed so. Nothing is guessed: what code with computed jumps or a realigned
// stack hides is not found. x86-64 only.
class StackDepth {
 public:
  // How far before a place its function's start is looked for where no table says.
  static constexpr std::uint64_t kMaxFunction = 8192;

  std::optional<BareCaller> caller(const BarePlace& place, const BareCode& code);

  struct FramePointer {
    std::optional<std::uint64_t> value;
    // What its prologue says may not hold at the place: the stack moves on the way there.
    bool moves = false;
  };
  // Of a frame that is addressed by it; code.start must be known.
  FramePointer frame_pointer(const BarePlace& place, const BareCode& code);

  // Around each walk: it has a bound on instructions, within one for all walks.
  void begin();
  void end();
  // The code has changed.
  void forget();

 private:
  static constexpr std::size_t kMaxOfWalk = 200'000, kMaxOfAll = 20'000'000;  // instructions
  static constexpr std::size_t kMaxKnown = 4096;
  enum class Found : std::uint8_t { kNothing, kOne, kNoWayToTell };
  struct Confirmed {
    Found found = Found::kNothing;
    BareCaller caller;
  };

  // References hold until the walk's end.
  const FollowedCode& followed(std::uint64_t entry, const BarePlace& place, const BareCode& code);
  // From all possible starts.
  const FollowedCode& followed_from_any(const BarePlace& place, const BareCode& code);
  // What the stack holds at the only depth where it confirms the code.
  Confirmed confirmed(const FollowedCode& possible, const BarePlace& place, const BareCode& code);
  bool confirms(std::uint64_t return_address, std::uint64_t above, std::int64_t depth,
                const BarePlace& place, const BareCode& code);
  Confirmed by_direct_call(const BarePlace& place, const BareCode& code);

  std::size_t left_ = kMaxOfWalk, all_left_ = kMaxOfAll;
  std::map<std::tuple<std::uint64_t, std::uint64_t, bool>, FollowedCode> known_;
  std::map<std::pair<std::uint64_t, bool>, FollowedCode> any_known_;
};

}  // namespace stucktrace::unwind
