#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "tracer/unwind/stack_walk.h"

namespace stucktrace::unwind {

// A place in a frame without unwind tables.
struct BarePlace {
  std::uint64_t pc = 0;
  std::uint64_t stack_pointer = 0;
  bool after_call = false;  // pc is a return address, else the instruction that runs next
};

// What is known of the code at a place.
struct BareCode {
  std::optional<std::uint64_t> start;  // where its function starts
  // Where it may start; asked for where nothing else leads on.
  std::function<std::vector<std::uint64_t>()> possible_starts;
  ReadBytes read_code;  // only what is executable
  ReadBytes read_data;
  std::function<bool(std::uint64_t)> is_constant;  // nobody writes there any more
};

// What code that was entered at one place tells of another, by its instructions alone: branches and
// tail calls are followed, calls passed over. Depths are in bytes below the word that holds the
// return address.
struct FollowedCode {
  // With which it may be there, ascending; below 0 it has left the frame it was entered with.
  std::vector<std::int64_t> depths;
  // How far above the stack pointer the frame pointer lies there, where it is one.
  std::vector<std::int64_t> frame_pointers;
  bool no_frame_pointer = false;  // on some way there it is none
  bool lost = false;   // it may be there with a depth that is not in the code (a realigned stack)
  bool grows = false;  // somewhere there is such a depth
  bool open = false;   // some ways lead where cannot be seen
  bool cut = false;    // it is too much code

  bool holds(std::int64_t depth) const;
};

// Spends instructions from `budget`. x86-64 only: nothing elsewhere.
FollowedCode follow_code(std::uint64_t entry, const BarePlace& place, const BareCode& code,
                         std::size_t& budget);

// Above what a thread's stack holds for one frame at most.
inline constexpr std::size_t kMaxBareFrame = std::size_t{128} * 1024;

}  // namespace stucktrace::unwind
