#include <fmt/format.h>

#include <algorithm>

#include "syscalls/decode.h"
#include "syscalls/io.h"
#include "syscalls/table.h"
#include "tracer/base/text.h"
#include "tracer/render/escape.h"
#include "tracer/render/merged_stack.h"
#include "tracer/render/timeline_impl.h"

namespace stucktrace::render {
namespace {

using base::Instant;
using base::Nanoseconds;
using base::Pid;
using base::Tid;
using model::Call;
using model::Event;
using model::LoopFolder;
using syscalls::Sys;
using syscalls::Trait;

// How long a call that may begin a loop is held back.
constexpr Nanoseconds kHoldBack = std::chrono::seconds{5};

bool is_sleep(Sys call) {
  return call == Sys::nanosleep || call == Sys::clock_nanosleep;
}

bool sends_signal(Sys call) {
  return call == Sys::kill || call == Sys::tkill || call == Sys::tgkill ||
         call == Sys::pidfd_send_signal || call == Sys::rt_sigqueueinfo ||
         call == Sys::rt_tgsigqueueinfo;
}

int sent_signal(const Call& call) {
  const std::size_t index = call.sys() == Sys::tgkill || call.sys() == Sys::rt_tgsigqueueinfo;
  return static_cast<int>(static_cast<std::uint32_t>(call.raw.args[index + 1]));
}

}  // namespace

bool TextTimeline::Impl::shown(const Call& call) const {
  if (call.stack) return true;  // asked for
  const syscalls::SyscallRow* row = syscalls::find_row(call.raw.abi, call.raw.number);
  const Nanoseconds took = call.end.value_or(last_) - call.start;
  if (story()) {
    if (row != nullptr && row->has(Trait::kNeverReturns)) return false;
    if (sends_signal(call.sys())) return signal_matters(sent_signal(call));
    return took >= kLongWait || (call.open_at_attach && !call.end);
  }
  if (options_.trace) {
    const Sys id = call.sys();
    return options_.trace->contains(id);
  }
  if (options_.level == TimelineLevel::kAll) return true;
  if (row != nullptr && row->traits == 0) return false;
  // What went to stdout and stderr stands there as "says".
  return !(row != nullptr && row->has(Trait::kWritesOutput) && call.result &&
           !call.result->is_error && took < kLongWait && syscalls::io_fd(call.raw) &&
           fds_.is_output(call.pid, *syscalls::io_fd(call.raw)));
}

// Worth looking for loops with: at the story level whatever can be part of a polling wait.
bool TextTimeline::Impl::loops(const Call& call) const {
  if (!story() || call.stack) return shown(call);
  const syscalls::SyscallRow* row = syscalls::find_row(call.raw.abi, call.raw.number);
  return row == nullptr || row->has(Trait::kMayBlock);
}

void TextTimeline::Impl::spoken(const Call& call) {
  if (!call.result || call.result->is_error || call.result->value <= 0) return;
  const syscalls::SyscallRow* row = syscalls::find_row(call.raw.abi, call.raw.number);
  if (row == nullptr || !row->has(Trait::kWritesOutput)) return;
  const auto fd = syscalls::io_fd(call.raw);
  if (!fd || !fds_.is_output(call.pid, *fd)) return;
  const auto bytes = syscalls::written_bytes(call.raw, call.result->value, call.memory);
  if (!bytes) return;
  Speech::Line line;
  line.at = call.end.value_or(call.start);
  line.pid = call.pid;
  line.tid = call.tid;
  line.fd = *fd;
  line.verb = speech_verb(call.pid, *fd);
  line.aside = !listener(call.pid, *fd).empty();
  tell(speech_.write(line, *bytes, static_cast<std::uint64_t>(call.result->value)));
}

// "says", "says to P2", "says on stderr".
std::string TextTimeline::Impl::speech_verb(Pid pid, int fd) const {
  const model::FdEntry* out = fds_.find(pid, 1);
  const model::FdEntry* err = fds_.find(pid, 2);
  const bool apart = out != nullptr && err != nullptr && out->resource != err->resource;
  std::string verb = fd == 2 && apart ? "says on stderr" : "says";
  if (const std::string to = listener(pid, fd); !to.empty()) verb += " to " + to;
  return verb;
}

// The process of the tree that reads this output; "" for terminals, files and what is outside.
std::string TextTimeline::Impl::listener(Pid pid, int fd) const {
  const model::FdEntry* entry = fds_.find(pid, fd);
  if (entry == nullptr || (entry->resource.kind != model::ResourceKind::kPipe &&
                           entry->resource.kind != model::ResourceKind::kFifo)) {
    return {};
  }
  for (const model::Holder& reader : fds_.holders(entry->resource, model::FdMode::kRead)) {
    if (reader.pid != pid) return words_.process(reader.pid.value());
  }
  return {};
}

void TextTimeline::Impl::tell(const std::vector<Speech::Line>& lines) {
  for (const Speech::Line& said : lines) {
    std::string text = said.verb;
    text += said.before > 0 ? fmt::format(": {} more lines, then ", said.before) : " ";
    text += quoted(said.text, options_.text_limit);
    if (said.size > said.text.size()) text += fmt::format(" ({})", base::human_bytes(said.size));
    line(said.at, said.pid, said.tid, text, said.aside ? Style::kPlain : Style::kGood);
  }
}

void TextTimeline::Impl::channel(const Call& call) {
  if (call.made_fds.size() != 2) return;
  const Sys id = call.sys();
  if (id == Sys::socketpair) {
    words_.pair(call.made_fds[0].resource, call.made_fds[1].resource);
  } else if (id != Sys::pipe && id != Sys::pipe2) {
    return;
  }
  if (!story()) return;                      // the call has its own line
  constexpr std::size_t kMostPending = 256;  // of a process that never forks
  auto& pending = channels_[call.pid];
  if (pending.size() >= kMostPending) pending.erase(pending.begin());
  Channel made{{}, call.made_fds};
  const model::FdEntry& one = call.made_fds[0];
  const model::FdEntry& other = call.made_fds[1];
  made.text = id == Sys::socketpair ? fmt::format("socket pair {}, {}", words_.fd(call.pid, one),
                                                  words_.fd(call.pid, other))
                                    : fmt::format("{} (read end {}, write end {})",
                                                  to_string(one.resource), one.fd, other.fd);
  pending.push_back(std::move(made));
}

// "[blocked 4.9 s, since 0.103]"; the line itself stands where the wait ended.
std::string TextTimeline::Impl::duration_mark(const Call& call) const {
  const Nanoseconds took = call.end.value_or(last_) - call.start;
  const std::string time = base::human_duration(took);
  const std::string since = ", since " + seconds(call.start);
  if (call.sys() == Sys::exit || call.sys() == Sys::exit_group) return {};
  if (call.open_at_attach) {
    return fmt::format("  [{} since before the attach, {} seen]",
                       call.end ? "blocked" : "still blocked,", time);
  }
  if (!call.end) {
    const auto* task = tree_.find(call.tid);
    if (task != nullptr && task->ended) return fmt::format("  [{}{}, died in it]", time, since);
    return fmt::format("  [still blocked after {}{}]", time, since);
  }
  if (took < kShownWait) return {};
  if (is_sleep(call.sys())) return fmt::format("  [{}{}]", time, since);
  const syscalls::SyscallRow* row = syscalls::find_row(call.raw.abi, call.raw.number);
  const bool waits = row == nullptr || row->has(Trait::kMayBlock);
  return fmt::format("  [{} {}{}]", waits ? "blocked" : "took", time, since);
}

std::string TextTimeline::Impl::text_of(const Thread& thread, const Call& call) const {
  const FdNames* names = names_of(thread, call);
  return words_.call(call, names == nullptr ? FdNames{} : *names);
}

const FdNames* TextTimeline::Impl::names_of(const Thread& thread, const Call& call) {
  const auto at = std::ranges::find(thread.names, call.first_sequence, &Thread::Names::call);
  return at == thread.names.end() ? nullptr : at->names.get();
}

// nullopt: on more than a descriptor, which is rare enough to be named anew each time.
std::optional<TextTimeline::Impl::NamedBy> TextTimeline::Impl::named_by(const Call& call) const {
  const Sys id = call.sys();
  const auto fd = syscalls::io_fd(call.raw);
  if (!fd || (syscalls::is_read_like(id) && syscalls::is_write_like(id))) return std::nullopt;
  return NamedBy{fds_.version(), call.raw.abi, call.raw.number, *fd};
}

void TextTimeline::Impl::keep_names(Thread& thread, const Call& call) {
  if (thread.open_call == call.first_sequence) return;
  if (!call.end) thread.open_call = call.first_sequence;
  Thread::Names kept{call.first_sequence, named_by(call), nullptr};
  // The calls of a loop are named once.
  const std::size_t count = thread.names.size();
  for (std::size_t back = 1; kept.by && back <= std::min(count, LoopFolder::kMaxBody); ++back) {
    const Thread::Names& before = thread.names[(thread.next_name + count - back) % count];
    if (before.by == kept.by) kept.names = before.names;
  }
  if (!kept.names) kept.names = std::make_shared<const FdNames>(words_.names_of(call));
  if (kept.names->empty()) return;
  // More than a folder holds back, and the open call.
  constexpr std::size_t kMost = 2 * LoopFolder::kMaxBody * LoopFolder::kMinTurns;
  if (thread.names.size() < kMost) {
    thread.names.push_back(std::move(kept));
    return;
  }
  thread.names[thread.next_name] = std::move(kept);
  thread.next_name = (thread.next_name + 1) % kMost;
}

void TextTimeline::Impl::emit_call(Thread& thread, const Call& call) {
  if (!shown(call)) return;
  const Instant end = call.end.value_or(last_);
  const bool is_long = end - call.start >= kLongWait;
  const std::string mark = duration_mark(call);
  const Instant at = end - call.start >= kShownWait ? end : call.start;
  line(at, call.pid, call.tid, text_of(thread, call) + mark,
       is_long && !mark.empty() ? Style::kWarn : Style::kPlain);
  emit_stack(thread, call, at);
}

// Under the call's line, in the column of the calls. What a thread repeats is told once.
void TextTimeline::Impl::emit_stack(Thread& thread, const Call& call, Instant at) {
  if (!call.stack) return;
  constexpr std::size_t kOtherColumns = 23;  // role, ids and the gaps (line())
  const std::string before(seconds_width() + kOtherColumns + 2, ' ');
  const auto put = [&](std::string_view text) { sink_(before + paint_(Style::kDim, text)); };
  const model::StackSeen& stack = *call.stack;
  const bool any = !stack.frames.empty() || !stack.python.empty();
  if (any && thread.stack && model::same_stack(stack, *thread.stack)) {
    return put(fmt::format("(the stack of {})", seconds(thread.stack_at)));
  }
  for (const std::string& frame : stack_lines(stack.frames, stack.python, NativeFrames::kMerged)) {
    put(frame);
  }
  if (!stack.note.empty()) put("(" + terminal_text(stack.note, kNoteLimit) + ")");
  if (!any) return;
  thread.stack = call.stack;
  thread.stack_at = at;
}

void TextTimeline::Impl::emit_loop(Thread& thread, const model::Loop& loop, bool going_on) {
  const Nanoseconds took = loop.end - loop.start;
  const bool stacks =
      std::ranges::any_of(loop.body, [](const Call& call) { return call.stack != nullptr; });
  if (story() && took < kLongWait && !stacks) return;
  std::string text;
  for (const Call& call : loop.body) {
    if (!text.empty()) text += ", ";
    text += text_of(thread, call);
  }
  text += fmt::format("  [×{}, {}, since {}{}]", loop.turns, base::human_duration(took),
                      seconds(loop.start), going_on ? ", still going" : "");
  const Call& first = loop.body.front();
  line(loop.end, first.pid, first.tid, text, took >= kLongWait ? Style::kWarn : Style::kPlain);
  for (const Call& call : loop.body) emit_stack(thread, call, loop.end);
}

void TextTimeline::Impl::emit(Thread& thread, const std::vector<LoopFolder::Item>& items,
                              bool at_the_end) {
  for (const LoopFolder::Item& item : items) {
    if (item.call) {
      emit_call(thread, *item.call);
    } else {
      const auto* task = tree_.find(item.loop->body.front().tid);
      emit_loop(thread, *item.loop, at_the_end && task != nullptr && !task->ended);
    }
  }
}

void TextTimeline::Impl::schedule(Tid tid, Thread& thread) {
  const std::optional<Instant> since = thread.folder.held_since();
  std::optional<Instant> due;
  if (since) due = *since + kHoldBack;
  if (due == thread.due) return;
  if (thread.due) due_.erase({*thread.due, tid});
  if (due) due_.insert({*due, tid});
  thread.due = due;
}

// A call that cannot be the next turn of what is held back ends the guessing: the thread may stay
// in it for long.
void TextTimeline::Impl::entered(const Event& event, const model::SyscallEnter& enter) {
  const auto at = threads_.find(event.tid);
  if (at == threads_.end() || !at->second.folder.holds()) return;
  if (at->second.folder.could_continue(enter.call)) return;
  // Calls that are not looked at may come between the turns.
  Call call;
  call.raw = enter.call;
  if (!loops(call)) return;
  const bool looping = at->second.folder.in_loop();
  emit(at->second, looping ? at->second.folder.flush() : at->second.folder.release());
  schedule(event.tid, at->second);
}

void TextTimeline::Impl::take(Call&& call) {
  spoken(call);
  channel(call);
  if (!loops(call) && !shown(call)) return;
  const Tid tid = call.tid;
  Thread& thread = threads_[tid];
  if (!call.end || !loops(call)) {
    // Ended by death, or not worth folding: nothing of this thread stays behind it.
    if (!call.end) emit(thread, thread.folder.flush());
    emit_call(thread, call);
  } else {
    const bool visible = shown(call);
    if (visible) keep_names(thread, call);
    emit(thread, thread.folder.add(std::move(call)));
    // Told at once, unless it looks like one more turn of the same.
    if (visible && !thread.folder.repeating()) emit(thread, thread.folder.release());
  }
  schedule(tid, thread);
}

// Before the other side of something goes away: what long open calls wait on keeps its name.
void TextTimeline::Impl::remember_names(const Event& event) {
  bool changes = std::holds_alternative<model::TaskExit>(event.data) ||
                 std::holds_alternative<model::Exec>(event.data);
  if (const auto* exit = std::get_if<model::SyscallExit>(&event.data)) {
    const Sys id = syscalls::sys_of(exit->call.abi, exit->call.number);
    const auto fd = id == Sys::close ? syscalls::io_fd(exit->call) : std::nullopt;
    const model::FdEntry* entry = fd ? fds_.find(event.pid, *fd) : nullptr;
    changes = entry != nullptr && (entry->resource.kind == model::ResourceKind::kPipe ||
                                   entry->resource.kind == model::ResourceKind::kFifo ||
                                   entry->resource.kind == model::ResourceKind::kUnixSocket);
  }
  if (!changes) return;
  for (const Call* open : pairer_.open_calls()) {
    if (event.at - open->start < kShownWait || open->tid == event.tid) continue;
    keep_names(threads_[open->tid], *open);
  }
}

}  // namespace stucktrace::render
