#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "tracer/base/clock.h"
#include "tracer/model/snapshot.h"

namespace stucktrace::render {

// A thread and the process it belongs to, both of the same snapshot.
struct Member {
  const model::Process* process = nullptr;
  const model::Thread* thread = nullptr;
};

// Every thread that has not ended; `tree_only` leaves out the processes that were only taken in.
std::vector<Member> members_of(const model::Snapshot& snapshot, bool tree_only);

// Threads that wait alike, told together.
struct ThreadGroup {
  std::vector<Member> members;               // in the order given
  std::size_t processes = 0;                 // different ones
  std::string who;                           // "P2 python3 (4712)", "300 processes python3"
  std::string what;                          // "reads pipe:7 (fd 3) in get ← worker, 2 s left"
  std::optional<base::Nanoseconds> longest;  // wait so far, where it is known
};

// As finely as `most` groups allow: first by process, thing and place in the code, then by process
// and thing, at last by name and kind of wait, the biggest first. Then there may be more than
// `most` groups still.
std::vector<ThreadGroup> group_threads(const std::vector<Member>& members, base::Instant now,
                                       std::size_t most);

// "212 threads (reader-1, reader-2, … 210 more names): waits to be woken, for up to 3 s".
std::string group_text(const ThreadGroup& group);
// "main thread", "thread 4714 (feeder)".
std::string thread_label(const Member& member);
// "P2 python3 (4712)".
std::string process_label(const model::Process& process);
// "in get ← worker": the functions that led into the wait, innermost first; "" not known.
std::string place_text(const model::Thread& thread);

}  // namespace stucktrace::render
