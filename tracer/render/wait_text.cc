#include "tracer/render/wait_text.h"

#include <fmt/format.h>

#include <string_view>

#include "tracer/base/text.h"
#include "tracer/render/escape.h"

namespace stucktrace::render {
namespace {

using model::WaitKind;

std::string_view verb(WaitKind kind, model::FdMode direction) {
  switch (kind) {
    case WaitKind::kAccept:
      return "waits for a connection on";
    case WaitKind::kConnect:
      return "connects through";
    case WaitKind::kFifoOpen:
      return "opens";
    default:
      return direction == model::FdMode::kWrite ? "writes" : "reads";
  }
}

template <class Id>
std::string number_list(const std::vector<Id>& ids) {
  constexpr std::size_t kShown = 4;
  std::string text;
  for (std::size_t i = 0; i < ids.size() && i < kShown; ++i) {
    text += fmt::format("{}{}", i == 0 ? "" : ", ", ids[i]);
  }
  if (ids.size() > kShown) text += fmt::format(" and {} more", ids.size() - kShown);
  return text;
}

struct OnText {
  WaitKind kind;

  std::string operator()(const model::OnFd& on) const {
    std::string text = fmt::format("{} {}", verb(kind, on.direction), to_string(on.resource));
    if (on.fd >= 0) text += fmt::format(" (fd {})", on.fd);
    return text;
  }
  std::string operator()(const model::OnChildren& on) const {
    if (on.children.empty()) return "waits for a child";
    return fmt::format("waits for child{} {}", on.children.size() == 1 ? "" : "ren",
                       number_list(on.children));
  }
  std::string operator()(const model::OnFutex& on) const {
    using enum model::OnFutex::Role;
    if (on.role == kJoin && on.owner) return fmt::format("joins thread {}", *on.owner);
    const char* what = on.role == kMutex || on.role == kPiMutex               ? "mutex"
                       : on.role == kRwlockWriter || on.role == kRwlockReader ? "read-write lock"
                       : on.role == kRuntimeLock ? "lock of the interpreter"
                       : on.role == kMonitor     ? "Java monitor"
                                                 : "futex";
    std::string text = fmt::format("waits for {} {:#x}", what, on.address.value());
    if (on.owner) {
      text +=
          fmt::format(" held by {} {}", on.owner_alive ? "thread" : "vanished thread", *on.owner);
    }
    return text;
  }
  std::string operator()(const model::OnTask& on) const {
    return fmt::format("waits for process {}", on.pid);
  }
  std::string operator()(const model::OnLock& on) const {
    std::string text = "waits for a lock on " + to_string(on.file);
    if (!on.owners.empty()) text += " held by " + number_list(on.owners);
    return text;
  }
  std::string operator()(const model::OnSignal&) const { return "waits for a signal"; }
  std::string operator()(const model::OnOutside& on) const {
    return "waits for " + terminal_text(on.who);
  }
  std::string operator()(const model::OnUnknown& on) const {
    return on.because.empty() ? std::string("waits for something unknown")
                              : "waits for something unknown: " + terminal_text(on.because, 80);
  }
};

std::string_view kind_phrase(WaitKind kind) {
  switch (kind) {
    case WaitKind::kRunning:
      return "running";
    case WaitKind::kStopped:
      return "stopped";
    case WaitKind::kSleep:
      return "sleeps";
    case WaitKind::kMultiplex:
      return "waits for any of several (poll)";
    case WaitKind::kFutex:
      return "waits to be woken (futex)";
    case WaitKind::kChildWait:
      return "waits for its children";
    case WaitKind::kSignalWait:
      return "waits for a signal";
    default:
      return to_string(kind);
  }
}

std::string_view base_name(std::string_view path) {
  return path.substr(path.rfind('/') + 1);
}

}  // namespace

std::string wait_word(const model::Thread& thread) {
  return std::string(to_string(thread.wait.kind));
}

std::string wait_thing_text(const model::Thread& thread) {
  const model::Wait& wait = thread.wait;
  if (wait.kind == WaitKind::kRunning) return "running";
  if (wait.kind == WaitKind::kStopped) return "stopped";
  std::string text;
  constexpr std::size_t kShown = 3;
  for (std::size_t i = 0; i < wait.on.size() && i < kShown; ++i) {
    if (i > 0) text += " or ";
    text += std::visit(OnText{wait.kind}, wait.on[i]);
  }
  if (wait.on.size() > kShown) text += fmt::format(" or {} more", wait.on.size() - kShown);
  if (!text.empty()) return text;
  // The arguments of a sleep say nothing beyond the time that is left.
  return thread.call_text.empty() || wait.kind == WaitKind::kSleep
             ? std::string(kind_phrase(wait.kind))
             : terminal_text(thread.call_text, 80);
}

std::string polling_text(const model::Thread& thread) {
  if (!thread.wait.polling) return {};
  std::string text = ", asking again and again";
  if (!thread.wait.polling_text.empty()) text += ": " + terminal_text(thread.wait.polling_text);
  return text;
}

std::string wait_kind_text(const model::Thread& thread) {
  const model::Wait& wait = thread.wait;
  if (wait.on.size() != 1) return std::string(kind_phrase(wait.kind));
  if (const auto* on = std::get_if<model::OnFd>(&wait.on[0])) {
    const std::string_view does = verb(wait.kind, on->direction);
    const std::string_view towards = does == "writes" ? " to" : does == "reads" ? " from" : "";
    return fmt::format("{}{} a {}", does, towards, model::kind_word(on->resource.kind));
  }
  if (const auto* on = std::get_if<model::OnFutex>(&wait.on[0])) {
    if (on->role == model::OnFutex::Role::kJoin) return "joins a thread";
    return on->owner ? "waits for a lock that another thread holds" : "waits to be woken (futex)";
  }
  if (std::holds_alternative<model::OnChildren>(wait.on[0])) return "waits for its children";
  if (std::holds_alternative<model::OnLock>(wait.on[0])) return "waits for a file lock";
  return std::string(kind_phrase(wait.kind));
}

std::string wait_text(const model::Thread& thread) {
  const model::Wait& wait = thread.wait;
  std::string text = wait_thing_text(thread);
  if (wait.kind == WaitKind::kRunning || wait.kind == WaitKind::kStopped) return text;
  if (wait.remaining) {
    text += ", " + base::human_duration(*wait.remaining) + " left";
  } else if (wait.timeout) {
    text += ", at most " + base::human_duration(*wait.timeout);
  }
  return text + polling_text(thread);
}

std::string frame_text(const model::PythonFrame& frame) {
  return fmt::format("{}:{} {}", path_text(frame.file), frame.line, terminal_text(frame.function));
}

std::string frame_text(const model::NativeFrame& frame) {
  std::string text =
      frame.function.empty() ? fmt::format("{:#x}", frame.pc) : terminal_text(frame.function, 100);
  if (!frame.file.empty()) return text + fmt::format(" {}:{}", path_text(frame.file), frame.line);
  if (!frame.function.empty() && frame.offset != 0) text += fmt::format("+{:#x}", frame.offset);
  if (!frame.module.empty()) text += fmt::format(" ({})", terminal_text(base_name(frame.module)));
  return text;
}

}  // namespace stucktrace::render
