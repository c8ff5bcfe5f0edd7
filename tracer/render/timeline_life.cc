#include <fmt/format.h>

#include <algorithm>
#include <csignal>

#include "syscalls/decode.h"
#include "tracer/render/escape.h"
#include "tracer/render/timeline_impl.h"

namespace stucktrace::render {
namespace {

using model::Event;

constexpr std::uint64_t kSignalsTold = 5;  // of one kind and process

}  // namespace

// Signals that are plumbing: children's ends, window sizes, preemption of Go, profilers, and the
// two glibc keeps for itself (signal(7), nptl(7)).
bool signal_matters(int signal) {
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

void TextTimeline::Impl::first_seen(const Event& event, const model::TaskSeen& seen) {
  const bool is_main = event.tid == base::main_thread(event.pid);
  if (!is_main) {
    if (seen.at_attach && !story()) {
      line(event.at, event.pid, event.tid, "found thread " + quoted(seen.comm), Style::kBold);
    }
    return;
  }
  // Children come with their parent's clone event and the launched command with its exec event,
  // which have lines of their own.
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
  // A channel is worth telling when another process gets it too.
  constexpr std::size_t kTold = 3;
  std::string shared;
  std::size_t count = 0;
  if (const auto mine = channels_.find(event.pid); mine != channels_.end()) {
    for (const Channel& channel : mine->second) {
      const bool open = std::ranges::any_of(channel.ends, [&](const model::FdEntry& end) {
        const model::FdEntry* now = fds_.find(event.pid, end.fd);
        return now != nullptr && now->resource == end.resource;
      });
      if (open && ++count <= kTold) shared += (count == 1 ? " with " : ", ") + channel.text;
    }
    if (count > kTold) shared += fmt::format(" and {} more", count - kTold);
    channels_.erase(mine);
  }
  const char* verb = child.kind == kVfork ? "vforks" : child.kind == kFork ? "forks" : "clones";
  line(event.at, event.pid, event.tid,
       fmt::format("{} {} (pid {}){}", verb, words_.process(child.child.value()), child.child,
                   shared));
}

void TextTimeline::Impl::ended(const Event& event, const model::TaskExit& exit) {
  const bool is_main = event.tid == base::main_thread(event.pid);
  if (exit.signaled) ending_.insert(event.pid);
  if (!is_main) {
    if (!ending_.contains(event.pid) || !story()) {
      line(event.at, event.pid, event.tid, "thread ends", Style::kDim);
    }
    return;
  }
  line(event.at, event.pid, event.tid, exit_words(exit),
       !exit.signaled && exit.code == 0 ? Style::kBold : Style::kWarn);
  ending_.erase(event.pid);
  channels_.erase(event.pid);
  std::erase_if(signals_, [&](const auto& item) { return item.first.first == event.pid; });
}

void TextTimeline::Impl::signalled(const Event& event, const model::SignalStop& stop) {
  if (story()) {
    if (!signal_matters(stop.signo)) return;
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
    say("note: " + terminal_text(note->text, kNoteLimit), Style::kDim);
  }
}

}  // namespace stucktrace::render
