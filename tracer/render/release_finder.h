#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <utility>

#include "tracer/model/event.h"
#include "tracer/model/fd_tracker.h"
#include "tracer/model/timeline.h"

namespace stucktrace::render {

// Tells from the events who ended a wait: the reader that made room, the writer, the child that
// exited, the thread that woke a futex or ended. Only what the trace shows: calls that a filter let
// pass unseen release nobody here. Bounded by the number of resources, futexes and tasks.
class ReleaseFinder {
 public:
  struct Release {
    base::Tid by;
    base::Instant at;  // when the releasing call began, or the task ended
  };

  // Every event, before `fds` takes it.
  void observe(const model::Event& event, const model::FdTracker& fds);
  // Who released this call, which has just ended; nullopt where it did not wait, timed out, failed,
  // or the trace does not tell.
  std::optional<Release> of(const model::Call& call, const model::FdTracker& fds) const;

 private:
  using Moves = std::map<std::pair<model::ResourceId, bool>, Release>;  // true: written to

  void entered(const model::Event& event, const syscalls::RawCall& call,
               const model::FdTracker& fds);
  std::optional<Release> moved(const model::ResourceId& resource, bool written,
                               const model::Call& waiter) const;
  std::optional<Release> of_futex(const model::Call& call) const;

  Moves moves_;
  std::map<model::ResourceId, model::ResourceId> peers_;          // the ends of socketpair(2)
  std::map<std::pair<base::Pid, std::uint64_t>, Release> wakes_;  // by process and address
  std::map<base::Tid, Release> ends_;
};

}  // namespace stucktrace::render
