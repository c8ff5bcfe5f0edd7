#include "tracer/render/text_timeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <set>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "syscalls/decode.h"
#include "syscalls/io.h"
#include "syscalls/table.h"
#include "tracer/base/text.h"
#include "tracer/model/fd_tracker.h"
#include "tracer/model/task_tree.h"
#include "tracer/model/timeline.h"
#include "tracer/render/call_text.h"
#include "tracer/render/escape.h"
#include "tracer/render/finding_text.h"
#include "tracer/render/speech.h"
#include "tracer/render/style.h"

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

constexpr Nanoseconds kLongWait = std::chrono::milliseconds{100};
constexpr Nanoseconds kShownWait = std::chrono::milliseconds{10};
// How long a call that may begin a loop is held back.
constexpr Nanoseconds kHoldBack = std::chrono::seconds{5};
constexpr std::size_t kCommandLimit = 120;
constexpr std::uint64_t kSignalsTold = 5;  // of one kind and process

bool is_sleep(Sys call) {
  return call == Sys::nanosleep || call == Sys::clock_nanosleep;
}

bool sends_signal(Sys call) {
  return call == Sys::kill || call == Sys::tkill || call == Sys::tgkill ||
         call == Sys::pidfd_send_signal || call == Sys::rt_sigqueueinfo ||
         call == Sys::rt_tgsigqueueinfo;
}

// Signals that are plumbing: children's ends, window sizes, preemption of Go, profilers, and the
// two glibc keeps for itself (signal(7), nptl(7)).
bool matters(int signal) {
  switch (signal) {
    case 0:
    case SIGCHLD:
    case SIGWINCH:
    case SIGURG:
    case SIGPROF:
    case SIGVTALRM:
    case 32:
    case 33:
      return false;
    default:
      return true;
  }
}

int sent_signal(const Call& call) {
  const std::size_t index = call.sys() == Sys::tgkill || call.sys() == Sys::rt_tgsigqueueinfo;
  return static_cast<int>(static_cast<std::uint32_t>(call.raw.args[index + 1]));
}

}  // namespace

class TextTimeline::Impl {
 public:
  Impl(TimelineOptions options, Instant zero, LineSink sink)
      : options_(std::move(options)),
        zero_(zero),
        sink_(std::move(sink)),
        paint_(options_.color),
        words_(tree_, fds_, story(), options_.text_limit) {}

  void on_event(const Event& event);
  void finding(const model::FindingRecord& record);
  void note(Instant at, std::string_view text) {
    line(at, Pid{}, Tid{}, "note: " + terminal_text(text, kCommandLimit * 4), Style::kDim);
  }
  void let_out(Instant now);
  void close();

 private:
  struct Thread {
    LoopFolder folder;
    std::optional<Instant> due;  // its entry in due_
    // What the descriptors of the open call were before the other side changed.
    std::uint64_t names_of_call = 0;
    FdNames names;
  };
  struct Channel {  // a pipe or socketpair nobody has inherited yet
    Instant made;
    Tid tid;
    std::string text;
    std::vector<int> fds;
  };

  bool story() const { return options_.level == TimelineLevel::kStory; }
  void line(Instant at, Pid pid, Tid tid, std::string_view text, Style style = Style::kPlain);
  void lifeline(const Event& event);
  void first_seen(const Event& event, const model::TaskSeen& seen);
  void made(const Event& event, const model::NewTask& child);
  void ended(const Event& event, const model::TaskExit& exit);
  void signalled(const Event& event, const model::SignalStop& stop);
  void take(Call call);
  bool loops(const Call& call) const;
  bool shown(const Call& call) const;
  void spoken(const Call& call);
  std::string listener(Pid pid, int fd) const;
  void tell(const std::vector<Speech::Line>& lines);
  void channel(const Call& call);
  void emit(Thread& thread, const std::vector<LoopFolder::Item>& items, bool at_the_end = false);
  void emit_call(Thread& thread, const Call& call);
  void emit_loop(Thread& thread, const model::Loop& loop, bool going_on);
  std::string duration_mark(const Call& call) const;
  void schedule(Tid tid, Thread& thread);
  void remember_names(const Event& event);

  TimelineOptions options_;
  Instant zero_;
  LineSink sink_;
  Painter paint_;
  model::TaskTree tree_;
  model::FdTracker fds_;
  model::CallPairer pairer_;
  CallText words_;
  Speech speech_;
  std::unordered_map<Tid, Thread> threads_;
  std::set<std::pair<Instant, Tid>> due_;
  std::unordered_map<Pid, std::vector<Channel>> channels_;
  std::unordered_set<Pid> ending_;  // exit_group(2) was called: no word about each thread
  std::map<std::pair<Pid, int>, std::uint64_t> signals_;
  std::set<std::tuple<std::string, Tid, Instant>> told_;  // findings
  Instant last_;
};

void TextTimeline::Impl::line(Instant at, Pid pid, Tid tid, std::string_view text, Style style) {
  const double seconds = static_cast<double>((at - zero_).count()) / 1e9;
  const std::string time =
      story() ? fmt::format("{:>9.3f}", seconds) : fmt::format("{:>12.6f}", seconds);
  std::string who = "-";
  std::string ids;
  if (tid) {
    who = tree_.role(tid);
    ids = tid == base::main_thread(pid) ? fmt::format("{}", pid) : fmt::format("{}/{}", pid, tid);
  }
  sink_(fmt::format("{}  {}  {}  {}", paint_(Style::kDim, time),
                    paint_(Style::kName, fmt::format("{:<6}", who)),
                    paint_(Style::kDim, fmt::format("{:<11}", ids)), paint_(style, text)));
}

// ---- process life -------------------------------------------------------------------------------

void TextTimeline::Impl::first_seen(const Event& event, const model::TaskSeen& seen) {
  const bool is_main = event.tid == base::main_thread(event.pid);
  if (!is_main) {
    if (seen.at_attach && !story()) {
      line(event.at, event.pid, event.tid, "found thread " + quoted(seen.comm), Style::kBold);
    }
    return;
  }
  // Children come with their parent's clone event, which has a line of its own.
  // A launched command comes with its exec event.
  if (!seen.at_attach) return;
  const std::string command =
      seen.argv.empty() ? terminal_text(seen.exe.empty() ? seen.comm : seen.exe, kCommandLimit)
                        : command_text(seen.argv, kCommandLimit);
  line(event.at, event.pid, event.tid, "found running: " + command, Style::kBold);
}

void TextTimeline::Impl::made(const Event& event, const model::NewTask& child) {
  using enum model::NewTaskKind;
  if (child.kind == kThread) {
    line(event.at, event.pid, event.tid,
         fmt::format("starts thread {} (tid {})", tree_.role(child.child), child.child));
    return;
  }
  // A channel is worth a line from the moment on when another process has it too.
  if (const auto mine = channels_.find(event.pid); mine != channels_.end()) {
    for (const Channel& channel : mine->second) {
      const bool open = std::ranges::any_of(
          channel.fds, [&](int fd) { return fds_.find(event.pid, fd) != nullptr; });
      if (open) line(channel.made, event.pid, channel.tid, channel.text);
    }
    channels_.erase(mine);
  }
  const char* verb = child.kind == kVfork ? "vforks" : child.kind == kFork ? "forks" : "clones";
  line(event.at, event.pid, event.tid,
       fmt::format("{} {} (pid {})", verb, words_.process(child.child.value()), child.child));
}

void TextTimeline::Impl::ended(const Event& event, const model::TaskExit& exit) {
  const bool is_main = event.tid == base::main_thread(event.pid);
  if (const auto at = threads_.find(event.tid); at != threads_.end()) {
    emit(at->second, at->second.folder.flush());
    if (at->second.due) due_.erase({*at->second.due, event.tid});
    threads_.erase(at);
  }
  if (is_main) tell(speech_.end(event.pid));
  if (exit.signaled) ending_.insert(event.pid);
  if (!is_main) {
    if (!ending_.contains(event.pid) || !story()) {
      line(event.at, event.pid, event.tid, "thread ends", Style::kDim);
    }
    return;
  }
  if (exit.signaled) {
    line(event.at, event.pid, event.tid,
         fmt::format("is killed by {}{}", syscalls::signal_name(exit.code),
                     exit.core_dumped ? " (core dumped)" : ""),
         Style::kWarn);
  } else {
    line(event.at, event.pid, event.tid, fmt::format("exits with status {}", exit.code),
         exit.code == 0 ? Style::kBold : Style::kWarn);
  }
  ending_.erase(event.pid);
  channels_.erase(event.pid);
  std::erase_if(signals_, [&](const auto& item) { return item.first.first == event.pid; });
}

void TextTimeline::Impl::signalled(const Event& event, const model::SignalStop& stop) {
  if (story()) {
    if (!matters(stop.signo)) return;
    const std::uint64_t times = ++signals_[{event.pid, stop.signo}];
    if (times > kSignalsTold) return;
    if (times == kSignalsTold) {
      line(event.at, event.pid, event.tid,
           fmt::format("gets {} again; more of it is not told", syscalls::signal_name(stop.signo)),
           Style::kWarn);
      return;
    }
  }
  std::string text = "gets " + syscalls::signal_name(stop.signo);
  if (stop.sender) text += " from " + words_.process(stop.sender.value());
  if (stop.address != 0) text += fmt::format(" at address {:#x}", stop.address);
  line(event.at, event.pid, event.tid, text, Style::kWarn);
}

void TextTimeline::Impl::lifeline(const Event& event) {
  const auto say = [&](std::string_view text, Style style = Style::kPlain) {
    line(event.at, event.pid, event.tid, text, style);
  };
  if (const auto* seen = std::get_if<model::TaskSeen>(&event.data)) {
    first_seen(event, *seen);
  } else if (const auto* child = std::get_if<model::NewTask>(&event.data)) {
    made(event, *child);
  } else if (const auto* exec = std::get_if<model::Exec>(&event.data)) {
    say("runs: " + (exec->argv.empty() ? terminal_text(exec->exe, kCommandLimit)
                                       : command_text(exec->argv, kCommandLimit)),
        Style::kBold);
  } else if (const auto* exit = std::get_if<model::TaskExit>(&event.data)) {
    ended(event, *exit);
  } else if (const auto* stop = std::get_if<model::SignalStop>(&event.data)) {
    signalled(event, *stop);
  } else if (const auto* group = std::get_if<model::GroupStop>(&event.data)) {
    // Every thread reports the stop; the story tells it once.
    if (!story() || event.tid == base::main_thread(event.pid)) {
      say("is stopped by " + syscalls::signal_name(group->signo), Style::kWarn);
    }
  } else if (std::holds_alternative<model::Continued>(event.data)) {
    if (!story() || event.tid == base::main_thread(event.pid)) say("goes on", Style::kWarn);
  } else if (const auto* gone = std::get_if<model::Detached>(&event.data)) {
    if (!story() || event.tid == base::main_thread(event.pid)) {
      say("let go: " + terminal_text(gone->because, kCommandLimit), Style::kDim);
    }
  } else if (const auto* lost = std::get_if<model::Lost>(&event.data)) {
    say(fmt::format("not seen: {}{}", lost->count > 1 ? fmt::format("{} × ", lost->count) : "",
                    terminal_text(lost->what, kCommandLimit)),
        Style::kWarn);
  } else if (const auto* note = std::get_if<model::Note>(&event.data)) {
    say("note: " + terminal_text(note->text, kCommandLimit * 4), Style::kDim);
  }
}

// ---- calls --------------------------------------------------------------------------------------

bool TextTimeline::Impl::shown(const Call& call) const {
  const syscalls::SyscallRow* row = syscalls::find_row(call.raw.abi, call.raw.number);
  const Nanoseconds took = call.end.value_or(last_) - call.start;
  if (story()) {
    if (row != nullptr && row->has(Trait::kNeverReturns)) return false;
    if (sends_signal(call.sys())) return matters(sent_signal(call));
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
  if (!story()) return shown(call);
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
  line.aside = !listener(call.pid, *fd).empty();
  tell(speech_.write(line, *bytes, static_cast<std::uint64_t>(call.result->value)));
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
    const model::FdEntry* out = fds_.find(said.pid, 1);
    const model::FdEntry* err = fds_.find(said.pid, 2);
    const bool apart = out != nullptr && err != nullptr && out->resource != err->resource;
    std::string text = said.fd == 2 && apart ? "says on stderr" : "says";
    if (const std::string to = listener(said.pid, said.fd); !to.empty()) text += " to " + to;
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
  constexpr std::size_t kMostPending = 256;  // of a process that never forks
  auto& pending = channels_[call.pid];
  if (pending.size() >= kMostPending) pending.erase(pending.begin());
  Channel made{call.end.value_or(call.start), call.tid, {}, {}};
  const auto& [one, other] = std::tie(call.made_fds[0], call.made_fds[1]);
  made.fds = {one.fd, other.fd};
  made.text = id == Sys::socketpair
                  ? fmt::format("makes a socket pair {}, {}", words_.fd(call.pid, one),
                                words_.fd(call.pid, other))
                  : fmt::format("makes {} (read end {}, write end {})", to_string(one.resource),
                                one.fd, other.fd);
  pending.push_back(std::move(made));
}

std::string TextTimeline::Impl::duration_mark(const Call& call) const {
  const Nanoseconds took = call.end.value_or(last_) - call.start;
  const std::string time = base::human_duration(took);
  if (!call.end) {
    if (const auto* task = tree_.find(call.tid); task != nullptr && task->ended) {
      return fmt::format("  [{}, ended in it]", time);
    }
    return call.open_at_attach ? fmt::format("  [blocked since before the attach, {} seen]", time)
                               : fmt::format("  [still blocked after {}]", time);
  }
  if (call.open_at_attach) {
    return fmt::format("  [blocked since before the attach, {} seen]", time);
  }
  if (took < kShownWait) return {};
  if (is_sleep(call.sys())) return fmt::format("  [{}]", time);
  const syscalls::SyscallRow* row = syscalls::find_row(call.raw.abi, call.raw.number);
  const bool waits = row == nullptr || row->has(Trait::kMayBlock);
  return fmt::format("  [{} {}]", waits ? "blocked" : "took", time);
}

void TextTimeline::Impl::emit_call(Thread& thread, const Call& call) {
  if (!shown(call)) return;
  const bool remembered = thread.names_of_call == call.first_sequence;
  std::string text = words_.call(call, remembered ? thread.names : FdNames{});
  const std::string mark = duration_mark(call);
  const bool is_long = call.end.value_or(last_) - call.start >= kLongWait;
  if (call.sys() != Sys::exit && call.sys() != Sys::exit_group) text += mark;
  line(call.start, call.pid, call.tid, text,
       is_long && !mark.empty() ? Style::kWarn : Style::kPlain);
}

void TextTimeline::Impl::emit_loop(Thread& thread, const model::Loop& loop, bool going_on) {
  const Nanoseconds took = loop.end - loop.start;
  if (story() && took < kLongWait) return;
  std::string text;
  for (const Call& call : loop.body) {
    if (!text.empty()) text += ", ";
    text +=
        words_.call(call, thread.names_of_call == call.first_sequence ? thread.names : FdNames{});
  }
  text += fmt::format("  [×{}, {}{}]", loop.turns, base::human_duration(took),
                      going_on ? ", still going" : "");
  const Call& first = loop.body.front();
  line(loop.start, first.pid, first.tid, text, took >= kLongWait ? Style::kWarn : Style::kPlain);
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

void TextTimeline::Impl::take(Call call) {
  spoken(call);
  channel(call);
  if (!loops(call) && !shown(call)) return;
  const Tid tid = call.tid;
  Thread& thread = threads_[tid];
  if (!call.end || !loops(call)) {
    // Ended by death or detachment, or not worth folding: nothing of this thread stays behind it.
    emit(thread, thread.folder.flush());
    emit_call(thread, call);
  } else {
    const bool visible = shown(call);
    // It may be held back while its descriptors are closed.
    if (visible && thread.names_of_call != call.first_sequence) {
      thread.names = words_.names_of(call);
      thread.names_of_call = call.first_sequence;
    }
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
    Thread& thread = threads_[open->tid];
    if (thread.names_of_call == open->first_sequence) continue;
    thread.names = words_.names_of(*open);
    thread.names_of_call = open->first_sequence;
  }
}

void TextTimeline::Impl::let_out(Instant now) {
  while (!due_.empty() && due_.begin()->first <= now) {
    const Tid tid = due_.begin()->second;
    Thread& thread = threads_[tid];
    emit(thread, thread.folder.release());
    schedule(tid, thread);
  }
  if (const auto due = speech_.due(); due && *due <= now) tell(speech_.take_due(now));
}

void TextTimeline::Impl::on_event(const Event& event) {
  let_out(event.at);
  last_ = std::max(last_, event.at);
  tree_.observe(event);
  if (const auto* enter = std::get_if<model::SyscallEnter>(&event.data)) {
    if (syscalls::sys_of(enter->call.abi, enter->call.number) == Sys::exit_group) {
      ending_.insert(event.pid);
    }
  }
  remember_names(event);
  if (std::optional<Call> call = pairer_.observe(event)) take(std::move(*call));
  fds_.observe(event);
  lifeline(event);
}

// ---- findings -----------------------------------------------------------------------------------

void TextTimeline::Impl::finding(const model::FindingRecord& record) {
  const model::Finding& finding = record.finding;
  const bool is_new = told_.insert({finding.rule, finding.tid, record.stalled_since}).second;
  if (record.resolved_at) {
    std::string text = resolved_words(record);
    if (is_new) text += ": " + terminal_text(finding.headline, 2000);
    line(*record.resolved_at, finding.pid, finding.tid, text, Style::kGood);
    return;
  }
  const Instant at = std::max(record.first_reported, last_);
  line(at, finding.pid, finding.tid, verdict_sentence(finding), Style::kAlarm);
  if (!is_new) return;
  for (std::size_t i = 0; i < finding.chain.size(); ++i) {
    const model::ChainLink& link = finding.chain[i];
    line(at, link.pid, link.tid, (i == 0 ? "  │ " : "  │ ↳ ") + link_sentence(link));
  }
  if (!finding.cycle.empty()) {
    line(at, finding.pid, finding.tid, "  │ ↳ and so round again: a cycle");
  }
  if (!finding.remedy.empty()) {
    line(at, finding.pid, finding.tid, "  └ remedy: " + terminal_text(finding.remedy, 2000),
         Style::kGood);
  }
}

void TextTimeline::Impl::close() {
  std::vector<Tid> tids;
  for (const auto& [tid, thread] : threads_) tids.push_back(tid);
  std::ranges::sort(tids);
  for (const Tid tid : tids) {
    Thread& thread = threads_[tid];
    emit(thread, thread.folder.flush(), true);
  }
  tell(speech_.flush());
  for (const Call& call : pairer_.close()) emit_call(threads_[call.tid], call);
}

// ---- the port -----------------------------------------------------------------------------------

TextTimeline::TextTimeline(TimelineOptions options, Instant zero, LineSink sink)
    : impl_(std::make_unique<Impl>(std::move(options), zero, std::move(sink))) {}
TextTimeline::TextTimeline(TextTimeline&&) noexcept = default;
TextTimeline& TextTimeline::operator=(TextTimeline&&) noexcept = default;
TextTimeline::~TextTimeline() = default;

void TextTimeline::on_event(const Event& event) {
  impl_->on_event(event);
}
void TextTimeline::finding(const model::FindingRecord& record) {
  impl_->finding(record);
}
void TextTimeline::note(Instant at, std::string_view text) {
  impl_->note(at, text);
}
void TextTimeline::tick(Instant now) {
  impl_->let_out(now);
}
void TextTimeline::close() {
  impl_->close();
}

}  // namespace stucktrace::render
