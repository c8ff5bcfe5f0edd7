// Waits for other tasks: children and vfork.

#include <linux/sched.h>
#include <sys/wait.h>

#include <algorithm>
#include <vector>

#include "tracer/engine/wait_context.h"

namespace stucktrace::engine {
namespace {

using model::OnChildren;
using model::Wait;
using model::WaitKind;
using syscalls::Sys;

constexpr std::uint64_t kNoThread = 0x20000000;  // __WNOTHREAD: only this thread's children
constexpr std::uint64_t kWaitAll = 0x40000000;   // __WALL: what a tracer uses

std::vector<base::Pid> children_of(const WaitContext& context, bool own_only) {
  if (!own_only) return context.around.cache.children(context.process.pid);
  return context.around.procfs.children(context.process.pid, context.tid)
      .value_or(std::vector<base::Pid>{});
}

// What it traces without being its parent counts as a child in wait (ptrace(2)), whichever of its
// threads is the tracer.
void add_tracees(const WaitContext& context, bool own_only, std::vector<base::Pid>& children) {
  const std::vector<base::Tid>& threads = context.process.live_threads;
  for (const auto& [pid, tracer] : context.around.cache.tracees()) {
    const bool own = tracer == context.tid;
    if (own || (!own_only && std::ranges::binary_search(threads, tracer))) children.push_back(pid);
  }
  std::ranges::sort(children);
  children.erase(std::unique(children.begin(), children.end()), children.end());
}

// The child's pid as the waiter's pid namespace numbers it; NSpid runs from ours inwards.
std::int32_t pid_seen_by(const WaitContext& context, base::Pid child) {
  const std::size_t depth = context.process.ns_pids.size();
  if (depth < 2) return child.value();
  const auto status = context.around.procfs.status(child);
  if (!status || status->ns_pids.size() < depth) return -1;
  return status->ns_pids[depth - 1];
}

bool in_group(const WaitContext& context, base::Pid child, std::int32_t group) {
  // Group numbers of another namespace cannot be compared with ours; then any child may match.
  if (context.process.ns_pids.size() > 1) return true;
  const auto stat = context.around.procfs.stat(child);
  return stat && stat->process_group == group;
}

void select_children(const WaitContext& context, OnChildren& on,
                     const std::vector<base::Pid>& all) {
  for (const base::Pid child : all) {
    const bool matches =
        on.which == OnChildren::Which::kAny ||
        (on.which == OnChildren::Which::kOne && pid_seen_by(context, child) == on.selector) ||
        (on.which == OnChildren::Which::kGroup && in_group(context, child, on.selector));
    if (matches) on.children.push_back(child);
  }
}

// wait4(2): -1 any, 0 own group, below -1 the group of that number.
void read_wait4_selector(const WaitContext& context, OnChildren& on) {
  const std::int32_t pid = context.int_arg(0);
  if (pid > 0) {
    on.which = OnChildren::Which::kOne;
    on.selector = pid;
  } else if (pid == 0 || pid < -1) {
    on.which = OnChildren::Which::kGroup;
    on.selector = pid == 0 ? context.process.process_group : -pid;
  }
}

// waitid(2). A pidfd names its process directly.
std::optional<base::Pid> read_waitid_selector(const WaitContext& context, OnChildren& on) {
  constexpr int kPidFd = 3;  // P_PIDFD
  const int type = context.int_arg(0);
  on.selector = context.int_arg(1);
  if (type == P_PID) {
    on.which = OnChildren::Which::kOne;
  } else if (type == P_PGID) {
    on.which = OnChildren::Which::kGroup;
    if (on.selector == 0) on.selector = context.process.process_group;
  } else if (type == kPidFd) {
    on.which = OnChildren::Which::kOne;
    const auto info = context.around.procfs.fdinfo(context.process.pid, on.selector, context.tid);
    if (info && info->pidfd_pid && *info->pidfd_pid > 0) return base::Pid{*info->pidfd_pid};
  } else {
    on.selector = 0;
  }
  return std::nullopt;
}

bool waits_for_its_clone(const WaitContext& context) {
  if (context.id == Sys::vfork) return true;
  std::uint64_t flags = context.arg(0);
  // clone3 has a struct clone_args whose first word is the flags (clone(2)).
  if (context.id == Sys::clone3 && !context.memory.read_value(context.pointer(0), flags)) {
    return false;
  }
  return (flags & CLONE_VFORK) != 0;
}

}  // namespace

Wait read_child_wait(const WaitContext& context) {
  Wait wait;
  wait.kind = WaitKind::kChildWait;
  OnChildren on;
  std::uint64_t options = 0;
  if (context.id == Sys::wait4) {
    options = context.arg(2);
    read_wait4_selector(context, on);
  } else {
    options = context.arg(3);
    if (const auto pid = read_waitid_selector(context, on)) {
      on.children.push_back(*pid);
    }
  }
  on.reports_stops = (options & WUNTRACED) != 0;
  if (on.children.empty()) {
    const bool own_only = (options & kNoThread) != 0;
    auto all = children_of(context, own_only);
    // One that is asked for by number is mostly a child. Otherwise any may be the first to tell.
    const bool one = on.which == OnChildren::Which::kOne;
    if (!one || all.empty() || (options & kWaitAll) != 0) add_tracees(context, own_only, all);
    select_children(context, on, all);
  }
  wait.on.push_back(std::move(on));
  return wait;
}

std::optional<Wait> read_vfork(const WaitContext& context) {
  if (!waits_for_its_clone(context)) return std::nullopt;
  Wait wait;
  wait.kind = WaitKind::kVfork;
  for (const base::Pid child : children_of(context, false)) {
    const auto same = context.around.probes.same_memory(context.tid, base::main_thread(child));
    if (same && *same) wait.on.push_back(model::OnTask{child});
  }
  if (wait.on.empty()) wait.on.push_back(model::OnUnknown{"its vfork child is not in sight"});
  return wait;
}

}  // namespace stucktrace::engine
