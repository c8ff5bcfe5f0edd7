#include "tracer/render/trace_lanes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <utility>

#include "syscalls/io.h"
#include "tracer/render/escape.h"

namespace stucktrace::render {
namespace {

using model::Call;
using model::Event;
using syscalls::Sys;
using syscalls::Trait;

constexpr std::size_t kSpeechLimit = 160;

std::string_view kind_of(const Call& call) {
  switch (call.sys()) {
    case Sys::futex:
    case Sys::futex_wait:
    case Sys::futex_waitv:
    case Sys::flock:
    case Sys::fcntl:
    case Sys::semop:
    case Sys::semtimedop:
      return "lock";
    case Sys::wait4:
    case Sys::waitid:
      return "child";
    case Sys::poll:
    case Sys::ppoll:
    case Sys::select:
    case Sys::pselect6:
    case Sys::epoll_wait:
    case Sys::epoll_pwait:
    case Sys::epoll_pwait2:
      return "poll";
    case Sys::nanosleep:
    case Sys::clock_nanosleep:
      return "sleep";
    default:
      return syscalls::io_fds(call.raw).empty() ? "call" : "io";
  }
}

bool never_returns(const Call& call) {
  return call.sys() == Sys::exit || call.sys() == Sys::exit_group;
}

}  // namespace

Lane* TraceLanes::lane(base::Tid tid) {
  const model::TaskTree::Task* task = tasks_.find(tid);
  if (task == nullptr) return nullptr;
  const auto known = of_task_.find(task->index);
  if (known != of_task_.end()) return &lanes_[known->second];
  if (lanes_.size() >= limits_.lanes) return nullptr;
  of_task_[task->index] = lanes_.size();
  Lane fresh;
  fresh.pid = task->pid;
  fresh.tid = tid;
  fresh.role = tasks_.role(tid);
  fresh.name = terminal_text(task->comm);
  fresh.born = task->born;
  lanes_.push_back(std::move(fresh));
  return &lanes_.back();
}

void TraceLanes::mark(base::Tid tid, base::Instant at, std::string_view kind, std::string text) {
  Lane* on = lane(tid);
  if (on == nullptr || marks_ >= limits_.marks) {
    ++left_out_.marks;
    return;
  }
  ++marks_;
  on->marks.push_back({at, kind, std::move(text)});
}

void TraceLanes::said(const Call& call) {
  if (!call.result || call.result->is_error || call.result->value <= 0) return;
  const auto fd = syscalls::io_fd(call.raw);
  if (!fd || !fds_.is_output(call.pid, *fd)) return;
  const auto bytes = syscalls::written_bytes(call.raw, call.result->value, call.memory);
  if (!bytes) return;
  std::string_view text = *bytes;
  while (text.ends_with('\n')) text.remove_suffix(1);
  if (text.empty()) return;
  mark(call.tid, call.end.value_or(call.start), "says", "says " + quoted(text, kSpeechLimit));
}

void TraceLanes::span(const Call& call) {
  said(call);
  if (never_returns(call)) return;
  const base::Instant end = call.end.value_or(last_);
  Lane* on = lane(call.tid);
  if (on == nullptr || (call.end && end - call.start < shortest_kept_)) {
    ++left_out_.spans;
    return;
  }
  LaneSpan span{call.start, end, kind_of(call), words_.call(call), !call.end, {}};
  if (const auto release = releases_.of(call, fds_)) span.released_by = tasks_.role(release->by);
  on->spans.push_back(std::move(span));
  if (++spans_ > 2 * limits_.spans) prune();
}

// Keeps the longest spans; what is as short as those left out need not be looked at any more.
void TraceLanes::prune() {
  if (spans_ <= limits_.spans) return;
  std::vector<base::Nanoseconds> lengths;
  lengths.reserve(spans_);
  for (const Lane& each : lanes_) {
    for (const LaneSpan& span : each.spans) lengths.push_back(span.end - span.start);
  }
  const auto limit = lengths.begin() + static_cast<std::ptrdiff_t>(limits_.spans);
  std::ranges::nth_element(lengths, limit, std::greater{});
  shortest_kept_ = *limit + base::Nanoseconds{1};
  for (Lane& each : lanes_) {
    std::erase_if(each.spans, [&](const LaneSpan& span) {
      return !span.open && span.end - span.start < shortest_kept_;
    });
  }
  std::size_t kept = 0;
  for (const Lane& each : lanes_) kept += each.spans.size();
  left_out_.spans += spans_ - kept;
  spans_ = kept;
}

void TraceLanes::on_event(const Event& event) {
  last_ = event.at;
  tasks_.observe(event);
  releases_.observe(event, fds_);
  if (const auto call = calls_.observe(event)) span(*call);
  if (const auto* seen = std::get_if<model::TaskSeen>(&event.data)) {
    if (Lane* on = lane(event.tid)) {
      on->name = terminal_text(seen->comm);
    } else {
      ++left_out_.lanes;
    }
  } else if (const auto* exec = std::get_if<model::Exec>(&event.data)) {
    if (Lane* on = lane(event.tid)) {
      if (const model::TaskTree::Task* task = tasks_.find(event.tid)) {
        on->name = terminal_text(task->comm);
      }
    }
    mark(event.tid, event.at, "life",
         "runs: " + (exec->argv.empty() ? terminal_text(exec->exe, kSpeechLimit)
                                        : command_text(exec->argv, kSpeechLimit)));
  } else if (const auto* made = std::get_if<model::NewTask>(&event.data)) {
    mark(event.tid, event.at, "life",
         fmt::format("{} {}",
                     made->kind == model::NewTaskKind::kThread ? "starts thread" : "makes process",
                     tasks_.role(made->child)));
  } else if (const auto* stop = std::get_if<model::SignalStop>(&event.data)) {
    mark(event.tid, event.at, "signal", "gets " + syscalls::signal_name(stop->signo));
  } else if (const auto* group = std::get_if<model::GroupStop>(&event.data)) {
    mark(event.tid, event.at, "signal", "is stopped by " + syscalls::signal_name(group->signo));
  } else if (const auto* exit = std::get_if<model::TaskExit>(&event.data)) {
    if (Lane* on = lane(event.tid)) on->ended = event.at;
    mark(event.tid, event.at, "life",
         exit->signaled ? "is killed by " + syscalls::signal_name(exit->code)
                        : fmt::format("exits with status {}", exit->code));
  }
  fds_.observe(event);
}

void TraceLanes::close() {
  for (const Call& call : calls_.close()) span(call);
  prune();
}

std::vector<Lane> TraceLanes::lanes() const {
  std::vector<Lane> sorted = lanes_;
  for (Lane& each : sorted) std::ranges::stable_sort(each.spans, {}, &LaneSpan::start);
  // "P10.T2" after "P9.T1": by the numbers in it.
  const auto numbers = [](const Lane& lane) {
    int process = 0;
    int thread = 0;
    if (std::sscanf(lane.role.c_str(), "P%d.T%d", &process, &thread) < 1) process = 1 << 30;
    return std::pair{process, thread};
  };
  std::ranges::stable_sort(sorted, {}, numbers);
  return sorted;
}

}  // namespace stucktrace::render
