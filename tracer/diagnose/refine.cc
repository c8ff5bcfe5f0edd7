#include "tracer/diagnose/refine.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "syscalls/io.h"
#include "tracer/base/text.h"
#include "tracer/diagnose/phases.h"
#include "tracer/model/wait_kind.h"

namespace stucktrace::diagnose {
namespace {

using namespace std::chrono_literals;
using model::OnChildren;
using model::WaitKind;
using syscalls::Sys;

constexpr base::Nanoseconds kShortNap = 1s;
// One tick (10 ms) of CPU per 100 ms: a loop that works for its living uses more.
constexpr base::Nanoseconds kPerTick = 100ms;

std::vector<base::Pid> live_children(const model::Snapshot& now, base::Pid parent) {
  std::vector<base::Pid> children;
  for (const model::Process& process : now.processes) {
    if (process.parent == parent && process.pid != parent) children.push_back(process.pid);
  }
  return children;
}

model::Wait polling_children(const model::Wait& wait, OnChildren on, std::string text) {
  model::Wait polling = wait;
  polling.kind = WaitKind::kChildWait;
  polling.on = {std::move(on)};
  polling.polling = true;
  polling.polling_text = std::move(text);
  polling.remaining.reset();  // of this nap only
  return polling;
}

bool used_little_cpu(const Samples& samples, const model::Counters& before,
                     const model::Counters& now) {
  const auto allowed = std::max<std::int64_t>(1, samples.gap() / kPerTick);
  return now.cpu_ticks - before.cpu_ticks <= static_cast<std::uint64_t>(allowed);
}

// ---- the loop as events show it -----------------------------------------------------------------

bool sleeps_only(const model::Call& call) {
  switch (call.sys()) {
    case Sys::nanosleep:
    case Sys::clock_nanosleep:
    case Sys::sched_yield:
      return true;
    case Sys::select:
    case Sys::pselect6:
      return call.raw.args[1] == 0 && call.raw.args[2] == 0 && call.raw.args[3] == 0;
    case Sys::poll:
    case Sys::ppoll:
      return call.raw.args[1] == 0;
    default:
      return false;
  }
}

bool asks_only(const model::Call& call) {
  switch (call.sys()) {
    case Sys::getpid:
    case Sys::getppid:
    case Sys::clock_gettime:
    case Sys::gettimeofday:
    case Sys::time:
      return true;
    case Sys::kill:
      return call.raw.args[1] == 0;
    default:
      return false;
  }
}

struct ChildPoll {
  OnChildren on;
  std::string text;
};

// The child-wait a loop amounts to; nullopt if it does anything besides asking and sleeping.
std::optional<ChildPoll> child_poll(const model::Snapshot& now, base::Pid pid,
                                    const model::Loop& loop) {
  ChildPoll poll;
  bool waits = false;
  std::string nap;
  for (const model::Call& call : loop.body) {
    const Sys sys = call.sys();
    if (sys == Sys::wait4) {
      if (!syscalls::is_nonblocking_probe(call.raw, call.memory)) return std::nullopt;
      const auto selector = static_cast<std::int32_t>(call.raw.args[0]);
      poll.on.selector = selector;
      if (selector > 0) {
        poll.on.which = OnChildren::Which::kOne;
        if (now.find(base::Pid{selector}) != nullptr) {
          poll.on.children.push_back(base::Pid{selector});
        }
      } else {
        poll.on.which = OnChildren::Which::kAny;
        poll.on.children = live_children(now, pid);
      }
      poll.text = selector > 0 ? fmt::format("wait4({}, WNOHANG)", selector)
                               : std::string("wait4(WNOHANG)");
      waits = true;
    } else if (sleeps_only(call)) {
      if (const auto timeout = syscalls::call_timeout(call.raw, call.memory);
          timeout && timeout->value && !timeout->absolute_clock) {
        nap = fmt::format(" + sleep of {}", base::human_duration(*timeout->value));
      } else if (nap.empty()) {
        nap = " + sleep";
      }
    } else if (!asks_only(call)) {
      return std::nullopt;
    }
  }
  if (!waits) return std::nullopt;
  std::ranges::sort(poll.on.children);
  const auto repeated = std::ranges::unique(poll.on.children);
  poll.on.children.erase(repeated.begin(), repeated.end());
  poll.text += nap + fmt::format(", {} turns in {}", loop.turns,
                                 base::human_duration(loop.end - loop.start));
  return poll;
}

bool same_kind_of_call(const model::Thread& a, const model::Thread& b) {
  if (!model::same_sleep(a.wait.kind, b.wait.kind)) return false;
  if (a.wait.on.size() != b.wait.on.size()) return false;
  if (!a.syscall || !b.syscall) return a.syscall.has_value() == b.syscall.has_value();
  return a.syscall->call.number == b.syscall->call.number &&
         a.syscall->call.args[0] == b.syscall->call.args[0];
}

bool same_call(const model::Thread& a, const model::Thread& b) {
  if (!model::same_sleep(a.wait.kind, b.wait.kind)) return false;
  if (!a.syscall || !b.syscall) return a.syscall.has_value() == b.syscall.has_value();
  return a.syscall->call.number == b.syscall->call.number &&
         a.syscall->call.args == b.syscall->call.args;
}

}  // namespace

bool is_nap(const model::Wait& wait) {
  return (wait.kind == WaitKind::kSleep || wait.kind == WaitKind::kMultiplex) && wait.on.empty();
}

RefinedWait refine_wait(const Samples& samples, const model::Process& process,
                        const model::Thread& thread, const model::Thread* earlier) {
  const model::Wait& seen = thread.wait;
  // Between two naps a looping thread may be caught in any of the loop's calls or on the CPU.
  const bool between = is_nap(seen) || seen.kind == WaitKind::kRunning;
  if (seen.polling || (!between && seen.kind != WaitKind::kChildWait)) return {seen, ""};

  if (samples.history != nullptr && between) {
    if (const auto loop = samples.history->loop(thread.tid)) {
      if (auto poll = child_poll(samples.now, process.pid, *loop)) {
        return {polling_children(seen, std::move(poll->on), poll->text),
                fmt::format("thread {} repeats {} and does nothing else (seen in its calls)",
                            thread.tid, poll->text)};
      }
    }
  }
  if (!is_nap(seen) || !seen.timeout || *seen.timeout > kShortNap) return {seen, ""};

  OnChildren children;
  const std::string text = fmt::format("a loop of {} sleeps", base::human_duration(*seen.timeout));
  if (thread.awaited_end && thread.awaited_end->process) {
    const base::Pid child = thread.awaited_end->process;
    children.which = OnChildren::Which::kOne;
    children.selector = child.value();
    children.children = {child};
    return {
        polling_children(seen, std::move(children), text),
        fmt::format("thread {} sleeps {} at a time inside a wait for process {} (Python frames)",
                    thread.tid, base::human_duration(*seen.timeout), child)};
  }
  children.children = live_children(samples.now, process.pid);
  if (children.children.empty()) return {seen, ""};
  if (frame_wait(thread) == FrameWait::kChildWait) {
    return {polling_children(seen, std::move(children), text),
            fmt::format("thread {} sleeps {} at a time inside a wait for a child process (Python "
                        "frames)",
                        thread.tid, base::human_duration(*seen.timeout))};
  }
  // Without frames or events: it must have been seen to turn at least twice without working.
  if (samples.single() || earlier == nullptr || !is_nap(earlier->wait)) return {seen, ""};
  if (2 * *seen.timeout > samples.gap()) return {seen, ""};
  const std::uint64_t turns =
      thread.counters.voluntary_switches - earlier->counters.voluntary_switches;
  if (turns < 2 || !used_little_cpu(samples, earlier->counters, thread.counters)) {
    return {seen, ""};
  }
  model::Wait inferred = polling_children(seen, std::move(children), text);
  inferred.inferred = true;
  return {std::move(inferred),
          fmt::format("inferred: thread {} only naps ({} times in {}); that it looks for its child "
                      "process between the naps cannot be seen",
                      thread.tid, turns, base::human_duration(samples.gap()))};
}

Motion motion_of(const Samples& samples, const model::Thread& thread, const model::Thread* earlier,
                 const model::Wait& refined) {
  if (refined.polling) {
    if (samples.single()) return Motion::kHeartbeat;
    if (earlier == nullptr) return Motion::kMoved;
    // Sampled between two turns the thread is on the CPU for an instant: the loop goes on.
    return used_little_cpu(samples, earlier->counters, thread.counters) ? Motion::kHeartbeat
                                                                        : Motion::kMoved;
  }
  if (thread.state == 'R' || thread.wait.kind == WaitKind::kRunning) return Motion::kRunning;
  if (samples.single()) return Motion::kStill;
  if (earlier == nullptr) return Motion::kMoved;
  if (thread.counters == earlier->counters && same_call(thread, *earlier)) return Motion::kStill;
  if (thread.wait.timeout && same_kind_of_call(thread, *earlier) &&
      used_little_cpu(samples, earlier->counters, thread.counters)) {
    return Motion::kHeartbeat;
  }
  return Motion::kMoved;
}

}  // namespace stucktrace::diagnose
