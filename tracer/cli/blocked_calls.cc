#include "tracer/cli/blocked_calls.h"

#include <algorithm>
#include <variant>

namespace stucktrace::cli {

void BlockedCalls::observe(const model::Event& event) {
  if (const auto* enter = std::get_if<model::SyscallEnter>(&event.data)) {
    const base::Instant since{event.at.since_boot - enter->age};
    open_[event.tid] = {
        {event.pid, event.tid, event.sequence, since, enter->call, enter->looked_up}, false};
  } else if (std::holds_alternative<model::SyscallExit>(event.data) ||
             std::holds_alternative<model::TaskExit>(event.data) ||
             std::holds_alternative<model::Detached>(event.data)) {
    open_.erase(event.tid);
  } else if (std::holds_alternative<model::Exec>(event.data)) {
    // It ends the other threads, and its own call has done what could take long.
    std::erase_if(open_, [&](const auto& one) { return one.second.call.pid == event.pid; });
  }
}

std::vector<OpenCall> BlockedCalls::due(base::Instant now) {
  std::vector<OpenCall> calls;
  for (auto& [tid, known] : open_) {
    if (known.told || now - known.call.since < limit_) continue;
    known.told = true;
    calls.push_back(known.call);
  }
  std::ranges::sort(calls, {}, &OpenCall::tid);
  return calls;
}

bool BlockedCalls::is_open(const OpenCall& call) const {
  const auto known = open_.find(call.tid);
  return known != open_.end() && known->second.call.sequence == call.sequence;
}

}  // namespace stucktrace::cli
