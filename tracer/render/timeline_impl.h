#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "tracer/model/fd_tracker.h"
#include "tracer/model/task_tree.h"
#include "tracer/model/timeline.h"
#include "tracer/render/call_text.h"
#include "tracer/render/speech.h"
#include "tracer/render/style.h"
#include "tracer/render/text_timeline.h"

namespace stucktrace::render {

// Columns of a command line, and of a note.
inline constexpr std::size_t kCommandLimit = 120;
inline constexpr std::size_t kNoteLimit = 480;
inline constexpr base::Nanoseconds kLongWait = std::chrono::milliseconds{100};  // in the story
inline constexpr base::Nanoseconds kShownWait = std::chrono::milliseconds{10};  // has its duration

// False for signals that are plumbing: SIGCHLD and its like.
bool signal_matters(int signal);

// The state behind TextTimeline; its functions stand in text_timeline.cc (the way of an event,
// findings), timeline_life.cc (processes, signals) and timeline_calls.cc (calls, loops, output).
class TextTimeline::Impl {
 public:
  Impl(TimelineOptions options, base::Instant zero, LineSink sink)
      : options_(std::move(options)),
        zero_(zero),
        sink_(std::move(sink)),
        paint_(options_.color),
        words_(tree_, fds_, story(), options_.text_limit, options_.wall_offset) {}

  void on_event(const model::Event& event);
  void finding(const model::FindingRecord& record);
  void note(base::Instant at, std::string_view text);
  void let_out(base::Instant now);
  void close();

 private:
  // What the names of a call's one descriptor depend on.
  struct NamedBy {
    std::uint64_t descriptors = 0;  // model::FdTracker::version()
    syscalls::Abi abi{};
    std::int64_t number = 0;
    int fd = 0;
    bool operator==(const NamedBy&) const = default;
  };
  struct Thread {
    model::LoopFolder folder;
    std::optional<base::Instant> due;  // its entry in due_
    // What the descriptors of a call were while it ran, by the call's first sequence number: the
    // other side may be gone, or the numbers stand for something else, when the line is written.
    struct Names {
      std::uint64_t call = 0;
      std::optional<NamedBy> by;  // nullopt: of more than that
      std::shared_ptr<const FdNames> names;
    };
    std::vector<Names> names;     // a ring of the newest
    std::size_t next_name = 0;    // where the next one goes
    std::uint64_t open_call = 0;  // the call that was named while it was open
    // The last stack that was written, and the time that stands beside it.
    std::shared_ptr<const model::StackSeen> stack;
    base::Instant stack_at;
  };
  struct Channel {  // a pipe or socketpair nobody has inherited yet
    std::string text;
    std::vector<model::FdEntry> ends;
  };

  bool story() const { return options_.level == TimelineLevel::kStory; }
  void line(base::Instant at, base::Pid pid, base::Tid tid, std::string_view text,
            Style style = Style::kPlain);
  void lifeline(const model::Event& event);
  void first_seen(const model::Event& event, const model::TaskSeen& seen);
  void made(const model::Event& event, const model::NewTask& child);
  void ended(const model::Event& event, const model::TaskExit& exit);
  void signalled(const model::Event& event, const model::SignalStop& stop);
  void entered(const model::Event& event, const model::SyscallEnter& enter);
  void take(model::Call&& call);
  void last_words(const model::Event& event);
  bool loops(const model::Call& call) const;
  bool shown(const model::Call& call) const;
  void spoken(const model::Call& call);
  std::string listener(base::Pid pid, int fd) const;
  std::string speech_verb(base::Pid pid, int fd) const;
  void tell(const std::vector<Speech::Line>& lines);
  void channel(const model::Call& call);
  void emit(Thread& thread, const std::vector<model::LoopFolder::Item>& items,
            bool at_the_end = false);
  void emit_call(Thread& thread, const model::Call& call);
  void emit_loop(Thread& thread, const model::Loop& loop, bool going_on);
  void emit_stack(Thread& thread, const model::Call& call, base::Instant at);
  std::string duration_mark(const model::Call& call) const;
  std::string seconds(base::Instant at) const;
  std::size_t seconds_width() const { return story() ? 9 : 12; }
  std::string text_of(const Thread& thread, const model::Call& call) const;
  static const FdNames* names_of(const Thread& thread, const model::Call& call);
  void keep_names(Thread& thread, const model::Call& call);
  std::optional<NamedBy> named_by(const model::Call& call) const;
  void schedule(base::Tid tid, Thread& thread);
  void remember_names(const model::Event& event);

  TimelineOptions options_;
  base::Instant zero_;
  LineSink sink_;
  Painter paint_;
  model::TaskTree tree_;
  model::FdTracker fds_;
  model::CallPairer pairer_;
  CallText words_;
  Speech speech_;
  std::unordered_map<base::Tid, Thread> threads_;
  std::set<std::pair<base::Instant, base::Tid>> due_;
  std::unordered_map<base::Pid, std::vector<Channel>> channels_;
  std::unordered_set<base::Pid> ending_;  // exit_group(2) was called: no word about each thread
  std::map<std::pair<base::Pid, int>, std::uint64_t> signals_;
  std::set<std::tuple<std::string, base::Tid, base::Instant>> told_;  // findings
  base::Instant last_;
};

}  // namespace stucktrace::render
