#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "tracer/model/fd_tracker.h"
#include "tracer/model/task_tree.h"
#include "tracer/model/timeline.h"
#include "tracer/render/call_text.h"
#include "tracer/render/release_finder.h"
#include "tracer/render/trace_writer.h"

namespace stucktrace::render {

// What a thread was in, for how long.
struct LaneSpan {
  base::Instant start;
  base::Instant end;
  std::string_view kind;    // "io", "lock", "child", "poll", "sleep", "call"
  std::string text;         // the call; safe for a terminal
  bool open = false;        // had not ended when the trace did, or the thread died in it
  std::string released_by;  // role of who ended the wait, "" unknown
  // The thread's in this call, one for all calls with the same; null: none was taken.
  std::shared_ptr<const model::StackSeen> stack;
};

// Something that happened to a thread, or that it did, at one instant.
struct LaneMark {
  base::Instant at;
  std::string_view kind;  // "says", "life", "signal"
  std::string text;       // safe for a terminal
};

// One thread from its beginning to its end.
struct Lane {
  base::Pid pid;
  base::Tid tid;
  std::string role;  // "P2.T1"
  std::string name;  // comm; safe for a terminal
  base::Instant born;
  std::optional<base::Instant> ended;
  std::vector<LaneSpan> spans;  // by start
  std::vector<LaneMark> marks;  // by time
};

// The trace as one lane a thread, collected while events go by. Bounded: of more calls than are
// kept the longest stay, of more marks the last; of more threads those of findings, then those that
// live at the end, then those that waited longest. While the trace goes on all that live are kept.
class TraceLanes final : public TraceWriter {
 public:
  struct Limits {
    std::size_t lanes = 500;
    std::size_t spans = 20'000;
    std::size_t marks = 4'000;
    std::size_t stacks = 2'000;  // that differ
  };
  struct LeftOut {
    std::size_t lanes = 0;
    std::size_t spans = 0;
    std::size_t marks = 0;
    std::size_t stacks = 0;  // calls whose stack is not there, with the call or without it
  };

  explicit TraceLanes(base::Instant zero) : TraceLanes(zero, Limits{}) {}
  TraceLanes(base::Instant zero, Limits limits)
      : zero_(zero), last_(zero), limits_(limits), words_(tasks_, fds_, false, kTextLimit) {}

  TraceLanes(const TraceLanes&) = delete;
  TraceLanes& operator=(const TraceLanes&) = delete;

  void on_event(const model::Event& event) override;
  // Its threads stay; the report tells the rest.
  void finding(const model::FindingRecord& record) override;
  void close() override;

  base::Instant zero() const { return zero_; }
  // By role: processes in the order they came. Calls that are open end at the last event.
  std::vector<Lane> lanes() const;
  const LeftOut& left_out() const { return left_out_; }

 private:
  static constexpr std::size_t kTextLimit = 80;

  struct Kept {
    Lane lane;
    base::Nanoseconds waited{};  // in all calls, also in those left out
  };

  Kept* kept(base::Tid tid);
  void ended(Lane& lane, base::Instant at);
  void span(const model::Call& call);
  void said(const model::Call& call);
  void mark(base::Tid tid, base::Instant at, std::string_view kind, std::string text);
  void prune_lanes(bool live_too);
  void prune_spans();
  std::shared_ptr<const model::StackSeen> shared(const model::StackSeen& stack);
  void left_out(const LaneSpan& span);
  void prune_marks();

  base::Instant zero_;
  base::Instant last_;
  Limits limits_;
  model::TaskTree tasks_;
  model::FdTracker fds_;
  model::CallPairer calls_;
  ReleaseFinder releases_;
  CallText words_;
  std::map<std::size_t, Kept> lanes_;    // by the task's index in the tree
  std::unordered_set<base::Tid> found_;  // threads of findings
  std::size_t ended_ = 0;                // of lanes_
  std::size_t spans_ = 0;
  std::size_t marks_ = 0;
  base::Nanoseconds shortest_kept_{};
  // By a number made of their places.
  std::unordered_multimap<std::uint64_t, std::shared_ptr<const model::StackSeen>> stacks_;
  LeftOut left_out_;
};

}  // namespace stucktrace::render
