#include "tracer/render/trace_lanes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <tuple>
#include <utility>

#include "syscalls/io.h"
#include "tracer/render/escape.h"

namespace stucktrace::render {
namespace {

using model::Call;
using model::Event;
using syscalls::Sys;

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

}  // namespace

TraceLanes::Kept* TraceLanes::kept(base::Tid tid) {
  const model::TaskTree::Task* task = tasks_.find(tid);
  if (task == nullptr) return nullptr;
  const auto known = lanes_.find(task->index);
  if (known != lanes_.end()) return &known->second;
  // What is told of a task after its end does not bring it back.
  if (task->ended && *task->ended < last_) return nullptr;
  Lane fresh;
  fresh.pid = task->pid;
  fresh.tid = tid;
  fresh.role = tasks_.role(tid);
  fresh.name = terminal_text(task->comm);
  fresh.born = task->born;
  return &lanes_.emplace(task->index, Kept{std::move(fresh), {}}).first->second;
}

void TraceLanes::ended(Lane& lane, base::Instant at) {
  if (lane.ended) return;
  lane.ended = at;
  ++ended_;
}

void TraceLanes::mark(base::Tid tid, base::Instant at, std::string_view kind, std::string text) {
  Kept* on = kept(tid);
  if (on == nullptr) {
    ++left_out_.marks;
    return;
  }
  on->lane.marks.push_back({at, kind, std::move(text)});
  if (++marks_ > 2 * limits_.marks) prune_marks();
}

void TraceLanes::prune_marks() {
  if (marks_ <= limits_.marks) return;
  std::vector<base::Instant> times;
  times.reserve(marks_);
  for (const auto& [index, each] : lanes_) {
    for (const LaneMark& mark : each.lane.marks) times.push_back(mark.at);
  }
  const auto first_kept = times.begin() + static_cast<std::ptrdiff_t>(marks_ - limits_.marks);
  std::ranges::nth_element(times, first_kept);
  std::size_t gone = 0;
  for (auto& [index, each] : lanes_) {
    gone +=
        std::erase_if(each.lane.marks, [&](const LaneMark& mark) { return mark.at < *first_kept; });
  }
  left_out_.marks += gone;
  marks_ -= gone;
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

// A program makes the same call from the same few places again and again.
std::shared_ptr<const model::StackSeen> TraceLanes::shared(const model::StackSeen& stack) {
  std::uint64_t key = 0;
  for (const model::NativeFrame& frame : stack.frames) key = key * 31 + frame.pc;
  for (const model::PythonFrame& frame : stack.python) {
    key = key * 31 + static_cast<std::uint64_t>(frame.line);
  }
  const auto [first, last] = stacks_.equal_range(key);
  for (auto at = first; at != last; ++at) {
    if (model::same_stack(*at->second, stack) && at->second->note == stack.note) return at->second;
  }
  if (stacks_.size() >= limits_.stacks) {
    std::erase_if(stacks_, [](const auto& each) { return each.second.use_count() == 1; });
    if (stacks_.size() >= limits_.stacks) return nullptr;
  }
  return stacks_.emplace(key, std::make_shared<const model::StackSeen>(stack))->second;
}

void TraceLanes::left_out(const LaneSpan& span) {
  ++left_out_.spans;
  if (span.stack) ++left_out_.stacks;
}

void TraceLanes::span(const Call& call) {
  said(call);
  if (never_returns(call.sys())) return;
  const base::Instant end = call.end.value_or(last_);
  Kept* on = kept(call.tid);
  if (on != nullptr) on->waited += end - call.start;
  if (on == nullptr || (call.end && end - call.start < shortest_kept_)) {
    ++left_out_.spans;
    if (call.stack) ++left_out_.stacks;
    return;
  }
  LaneSpan span{call.start, end, kind_of(call), words_.call(call), !call.end, {}, {}};
  if (call.stack) {
    span.stack = shared(*call.stack);
    if (!span.stack) ++left_out_.stacks;
  }
  if (const auto release = releases_.of(call, fds_)) span.released_by = tasks_.role(release->by);
  on->lane.spans.push_back(std::move(span));
  if (++spans_ > 2 * limits_.spans) prune_spans();
}

// Keeps the longest spans; what is as short as those left out need not be looked at any more.
void TraceLanes::prune_spans() {
  if (spans_ <= limits_.spans) return;
  std::vector<base::Nanoseconds> lengths;
  lengths.reserve(spans_);
  for (const auto& [index, each] : lanes_) {
    for (const LaneSpan& span : each.lane.spans) lengths.push_back(span.end - span.start);
  }
  const auto limit = lengths.begin() + static_cast<std::ptrdiff_t>(limits_.spans);
  std::ranges::nth_element(lengths, limit, std::greater{});
  shortest_kept_ = *limit + base::Nanoseconds{1};
  std::size_t gone = 0;
  for (auto& [index, each] : lanes_) {
    gone += std::erase_if(each.lane.spans, [&](const LaneSpan& span) {
      const bool goes = !span.open && span.end - span.start < shortest_kept_;
      if (goes) left_out(span);
      return goes;
    });
  }
  spans_ -= gone;
}

// Leaves the number of lanes allowed; unless `live_too`, counts and takes only those that ended.
void TraceLanes::prune_lanes(bool live_too) {
  struct Rank {
    bool found;
    bool live;
    base::Nanoseconds waited;
    std::size_t index;
  };
  std::vector<Rank> ranks;
  for (const auto& [index, each] : lanes_) {
    const bool live = !each.lane.ended;
    if (live && !live_too) continue;
    ranks.push_back({found_.contains(each.lane.tid), live, each.waited, index});
  }
  if (ranks.size() <= limits_.lanes) return;
  std::ranges::sort(ranks, [](const Rank& one, const Rank& other) {
    return std::tuple(!one.found, !one.live, -one.waited, one.index) <
           std::tuple(!other.found, !other.live, -other.waited, other.index);
  });
  for (std::size_t i = limits_.lanes; i < ranks.size(); ++i) {
    const auto at = lanes_.find(ranks[i].index);
    const Lane& lane = at->second.lane;
    if (lane.ended) --ended_;
    spans_ -= lane.spans.size();
    marks_ -= lane.marks.size();
    for (const LaneSpan& span : lane.spans) left_out(span);
    left_out_.marks += lane.marks.size();
    ++left_out_.lanes;
    lanes_.erase(at);
  }
}

void TraceLanes::on_event(const Event& event) {
  last_ = event.at;
  tasks_.observe(event);
  releases_.observe(event, fds_);
  if (const auto call = calls_.observe(event)) span(*call);
  if (const auto* seen = std::get_if<model::TaskSeen>(&event.data)) {
    if (Kept* on = kept(event.tid)) on->lane.name = terminal_text(seen->comm);
  } else if (const auto* exec = std::get_if<model::Exec>(&event.data)) {
    if (Kept* on = kept(event.tid)) {
      if (std::exchange(on->lane.ended, std::nullopt)) --ended_;  // a leader lives again
      if (const model::TaskTree::Task* task = tasks_.find(event.tid)) {
        on->lane.name = terminal_text(task->comm);
      }
    }
    // It ends the other threads without a word.
    for (auto& [index, each] : lanes_) {
      if (each.lane.pid == event.pid && each.lane.tid != event.tid) ended(each.lane, event.at);
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
    if (Kept* on = kept(event.tid)) ended(on->lane, event.at);
    mark(event.tid, event.at, "life", exit_words(*exit));
  }
  fds_.observe(event);
  if (ended_ > 2 * limits_.lanes) prune_lanes(false);
}

void TraceLanes::finding(const model::FindingRecord& record) {
  const model::Finding& finding = record.finding;
  found_.insert(finding.tid);
  for (const model::ChainLink& link : finding.chain) found_.insert(link.tid);
  found_.insert(finding.cycle.begin(), finding.cycle.end());
}

void TraceLanes::close() {
  for (const Call& call : calls_.close()) span(call);
  prune_lanes(true);
  prune_spans();
  prune_marks();
}

std::vector<Lane> TraceLanes::lanes() const {
  std::map<std::size_t, std::vector<LaneSpan>> open;
  for (const Call* call : calls_.open_calls()) {
    const model::TaskTree::Task* task = tasks_.find(call->tid);
    if (task == nullptr || never_returns(call->sys())) continue;
    open[task->index].push_back(
        {call->start, last_, kind_of(*call), words_.call(*call), true, {}, call->stack});
  }
  std::vector<Lane> sorted;
  for (const auto& [index, each] : lanes_) {
    sorted.push_back(each.lane);
    auto& spans = sorted.back().spans;
    if (const auto more = open.find(index); more != open.end()) {
      spans.insert(spans.end(), more->second.begin(), more->second.end());
    }
    std::ranges::stable_sort(spans, {}, &LaneSpan::start);
  }
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
