#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>

#include "tracer/base/clock.h"
#include "tracer/base/ids.h"
#include "tracer/model/fd_tracker.h"
#include "tracer/model/resource.h"
#include "tracer/model/task_tree.h"
#include "tracer/model/timeline.h"

namespace stucktrace::render {

// exit(2) and exit_group(2): a call that is open when its task ends, as it should be.
bool never_returns(syscalls::Sys call);
// "exits with status 1", "is killed by SIGSEGV (core dumped)".
std::string exit_words(const model::TaskExit& exit);

// Names as they were at another moment: descriptor -> "4<pipe:25725 → P1:3>".
using FdNames = std::map<int, std::string>;

// Says what descriptors, tasks and calls are. Borrows the state it names things by; everything it
// returns is safe for a terminal.
class CallText {
 public:
  // `compact`: what matters to the story only, units in words; else strace's notation. With
  // `wall_offset`, the time of day less the monotonic clock, deadlines by the time of day can be
  // told as what was left of them.
  CallText(const model::TaskTree& tree, const model::FdTracker& fds, bool compact,
           std::size_t text_limit, std::optional<base::Nanoseconds> wall_offset = std::nullopt)
      : tree_(tree),
        fds_(fds),
        compact_(compact),
        text_limit_(text_limit),
        wall_offset_(wall_offset) {}

  // "4<pipe:25725 → P1:3, P2:3>": what it is and who has the other end; arrows show where bytes
  // flow.
  std::string fd(base::Pid pid, int fd) const;
  std::string fd(base::Pid pid, const model::FdEntry& entry) const;
  // "P2", or the number of a process never seen.
  std::string process(std::int32_t pid) const;
  // "write(4<pipe:25725 → P1:3>, 200009 bytes) = 200009". `names` has precedence over what the
  // descriptors are now.
  std::string call(const model::Call& call, const FdNames& names = {}) const;
  // What the descriptors a call works or waits on are now.
  FdNames names_of(const model::Call& call) const;

  // The two ends of a socketpair(2): one names the other.
  void pair(const model::ResourceId& one, const model::ResourceId& other);

 private:
  struct Context;
  std::string value(const syscalls::Value& value, const Context& context, int depth) const;
  std::string argument(const syscalls::DecodedCall& decoded, std::size_t index,
                       const Context& context) const;
  std::string result(const syscalls::DecodedCall& decoded, const Context& context) const;
  std::optional<std::string> deadline(const model::Call& call, base::Nanoseconds at) const;
  std::string other_end(base::Pid pid, const model::FdEntry& entry) const;
  std::string holders(const std::vector<model::Holder>& holders) const;

  const model::TaskTree& tree_;
  const model::FdTracker& fds_;
  bool compact_;
  std::size_t text_limit_;
  std::optional<base::Nanoseconds> wall_offset_;
  std::map<model::ResourceId, model::ResourceId> pairs_;
};

}  // namespace stucktrace::render
