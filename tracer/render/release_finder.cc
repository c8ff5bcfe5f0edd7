#include "tracer/render/release_finder.h"

#include <linux/futex.h>

#include <cstddef>

#include "syscalls/io.h"

namespace stucktrace::render {
namespace {

using model::Call;
using model::Event;
using syscalls::Sys;

// Shorter calls did not wait for anybody.
constexpr base::Nanoseconds kWaited = std::chrono::microseconds{50};
// Of each kind are kept; a trace with more different ones starts anew.
constexpr std::size_t kMost = 65536;

bool wakes(std::uint64_t operation) {
  const auto command = static_cast<int>(operation & FUTEX_CMD_MASK);
  return command == FUTEX_WAKE || command == FUTEX_WAKE_BITSET || command == FUTEX_WAKE_OP ||
         command == FUTEX_UNLOCK_PI;
}

template <class Map, class Key>
void keep(Map& map, const Key& key, const ReleaseFinder::Release& release) {
  if (map.size() >= kMost) map.clear();
  map[key] = release;
}

}  // namespace

void ReleaseFinder::entered(const Event& event, const syscalls::RawCall& call,
                            const model::FdTracker& fds) {
  const Release release{event.tid, event.at};
  for (const syscalls::PolledFd& each : syscalls::io_fds(call)) {
    const model::FdEntry* entry = fds.find(event.pid, each.fd);
    if (entry == nullptr) continue;
    if (each.write) keep(moves_, std::pair{entry->resource, true}, release);
    if (each.read) keep(moves_, std::pair{entry->resource, false}, release);
  }
  if (syscalls::sys_of(call.abi, call.number) == Sys::futex && wakes(call.args[1])) {
    keep(wakes_, std::pair{event.pid, call.args[0]}, release);
  }
}

void ReleaseFinder::observe(const Event& event, const model::FdTracker& fds) {
  if (const auto* enter = std::get_if<model::SyscallEnter>(&event.data)) {
    if (!enter->looked_up) entered(event, enter->call, fds);
  } else if (const auto* exit = std::get_if<model::SyscallExit>(&event.data)) {
    const auto& made = exit->made_fds;
    if (syscalls::sys_of(exit->call.abi, exit->call.number) == Sys::socketpair &&
        made.size() == 2) {
      if (peers_.size() >= kMost) peers_.clear();
      peers_[made[0].resource] = made[1].resource;
      peers_[made[1].resource] = made[0].resource;
    }
  } else if (std::holds_alternative<model::TaskExit>(event.data)) {
    keep(ends_, event.tid, Release{event.tid, event.at});
  }
}

std::optional<ReleaseFinder::Release> ReleaseFinder::moved(const model::ResourceId& resource,
                                                           bool written, const Call& waiter) const {
  const auto peer = peers_.find(resource);
  const auto at = moves_.find({peer == peers_.end() ? resource : peer->second, written});
  if (at == moves_.end() || at->second.by == waiter.tid) return std::nullopt;
  if (at->second.at < waiter.start || at->second.at > *waiter.end) return std::nullopt;
  return at->second;
}

std::optional<ReleaseFinder::Release> ReleaseFinder::of_futex(const Call& call) const {
  if (wakes(call.raw.args[1])) return std::nullopt;
  const auto within = [&](const Release& release) {
    return release.by != call.tid && release.at >= call.start && release.at <= *call.end;
  };
  const auto wake = wakes_.find({call.pid, call.raw.args[0]});
  if (wake != wakes_.end() && within(wake->second)) return wake->second;
  // pthread_join waits for the word that holds the thread's tid (set_tid_address(2)).
  const auto end = ends_.find(base::Tid{static_cast<std::int32_t>(call.raw.args[2])});
  if (end != ends_.end() && within(end->second)) return end->second;
  return std::nullopt;
}

std::optional<ReleaseFinder::Release> ReleaseFinder::of(const Call& call,
                                                        const model::FdTracker& fds) const {
  if (!call.end || !call.result || call.result->is_error) return std::nullopt;
  if (*call.end - call.start < kWaited) return std::nullopt;
  const Sys id = call.sys();
  if (id == Sys::futex) return of_futex(call);
  if (id == Sys::wait4 && call.result->value > 0) {
    const auto end = ends_.find(base::Tid{static_cast<std::int32_t>(call.result->value)});
    // A child that had ended before is no release.
    if (end == ends_.end() || end->second.at < call.start) return std::nullopt;
    return end->second;
  }
  std::optional<Release> latest;
  const auto consider = [&](int fd, bool written) {
    const model::FdEntry* entry = fds.find(call.pid, fd);
    if (entry == nullptr) return;
    const auto found = moved(entry->resource, written, call);
    if (found && (!latest || found->at > latest->at)) latest = found;
  };
  for (const syscalls::PolledFd& each : syscalls::io_fds(call.raw)) {
    if (each.write) consider(each.fd, false);
    if (each.read) consider(each.fd, true);
  }
  if (call.result->value > 0) {  // 0: the time-out
    for (const syscalls::PolledFd& each : syscalls::polled_fds(call.raw, call.memory)) {
      if (each.read) consider(each.fd, true);
      if (each.write) consider(each.fd, false);
    }
  }
  return latest;
}

}  // namespace stucktrace::render
