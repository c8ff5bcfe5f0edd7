#include "tracer/model/timeline.h"

#include <algorithm>
#include <utility>

namespace stucktrace::model {
namespace {

// In place of whatever call was there: an ordinary call costs no copy of a whole one.
void begin(Call& call, const Event& event, const syscalls::RawCall& raw) {
  call.pid = event.pid;
  call.tid = event.tid;
  call.first_sequence = event.sequence;
  call.start = event.at;
  call.end.reset();
  call.open_at_attach = false;
  call.looked_up = false;
  call.raw = raw;
  call.result.reset();
  call.memory.reset();
  call.made_fds.clear();
  call.spent.reset();
  call.stack.reset();
}

}  // namespace

Call* CallPairer::take(base::Tid tid) {
  const auto at = slots_.find(tid);
  if (at == slots_.end() || !at->second.open) return nullptr;
  at->second.open = false;
  return &at->second.call;
}

Call* CallPairer::keep(Call&& call) {
  kept_ = std::move(call);
  return &kept_;
}

Call* CallPairer::observe(const Event& event) {
  if (const auto* enter = std::get_if<SyscallEnter>(&event.data)) {
    Slot& slot = slots_[event.tid];
    // A call still open here lost its exit; it goes out without an end. One that only looks see has
    // ended by now: the look that would have told comes too late.
    Call* lost = slot.open ? keep(std::move(slot.call)) : nullptr;
    if (lost != nullptr && lost->looked_up) lost->end = event.at;
    Call& call = slot.call;
    begin(call, event, enter->call);
    call.start = base::Instant{event.at.since_boot - enter->age};
    call.open_at_attach = enter->open_at_attach;
    call.looked_up = enter->looked_up;
    call.memory = enter->memory;
    slot.open = true;
    return lost;
  }
  if (const auto* exit = std::get_if<SyscallExit>(&event.data)) {
    Slot& slot = slots_[event.tid];
    Call& call = slot.call;
    const bool known = std::exchange(slot.open, false) && call.raw.number == exit->call.number;
    if (!known) begin(call, event, exit->call);
    call.end = event.at;
    if (!exit->looked_up) call.result = exit->result;
    call.made_fds = exit->made_fds;
    call.spent = exit->spent;
    call.memory.append(exit->memory);
    return &call;
  }
  if (const auto* seen = std::get_if<StackSeen>(&event.data)) {
    const auto at = slots_.find(event.tid);
    if (at == slots_.end() || !at->second.open) return nullptr;
    // One taken later in the same call shows the same, or why it could not be taken.
    std::shared_ptr<const StackSeen>& stack = at->second.call.stack;
    const bool empty = !stack || (stack->frames.empty() && stack->python.empty());
    if (empty) stack = std::make_shared<const StackSeen>(*seen);
    return nullptr;
  }
  if (const auto* exec = std::get_if<Exec>(&event.data)) {
    std::erase_if(slots_, [&](const auto& item) {
      return item.second.call.pid == event.pid && item.first != event.tid &&
             item.first != exec->former_tid;
    });
    if (!exec->former_tid || exec->former_tid == event.tid) return nullptr;
    // The caller's execve goes on under the leader's tid; whatever the leader was in ended with it.
    Call* leader = take(event.tid);
    if (leader != nullptr) leader = keep(std::move(*leader));
    if (Call* caller = take(exec->former_tid)) {
      Slot& slot = slots_[event.tid];
      slot.call = std::move(*caller);
      slot.call.tid = event.tid;
      slot.open = true;
    }
    slots_.erase(exec->former_tid);
    return leader;
  }
  if (const auto* exit = std::get_if<TaskExit>(&event.data)) {
    Call* last = take(event.tid);
    if (last != nullptr) last = keep(std::move(*last));
    if (last != nullptr && last->looked_up && !exit->signaled) last->end = event.at;
    slots_.erase(event.tid);
    return last;
  }
  return nullptr;
}

const Call* CallPairer::open_call(base::Tid tid) const {
  const auto at = slots_.find(tid);
  return at == slots_.end() || !at->second.open ? nullptr : &at->second.call;
}

std::vector<const Call*> CallPairer::open_calls() const {
  std::vector<const Call*> calls;
  for (const auto& [tid, slot] : slots_) {
    if (slot.open) calls.push_back(&slot.call);
  }
  std::ranges::sort(calls, {}, &Call::tid);
  return calls;
}

std::vector<Call> CallPairer::close() {
  std::vector<Call> calls;
  for (auto& [tid, slot] : slots_) {
    if (slot.open) calls.push_back(std::move(slot.call));
  }
  slots_.clear();
  std::ranges::sort(calls, {},
                    [](const Call& call) { return std::pair{call.start, call.first_sequence}; });
  return calls;
}

}  // namespace stucktrace::model
