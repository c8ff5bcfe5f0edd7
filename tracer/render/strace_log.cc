#include "tracer/render/strace_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <variant>

#include "syscalls/decode.h"
#include "tracer/render/call_text.h"
#include "tracer/render/escape.h"

namespace stucktrace::render {
namespace {

using model::Call;
using model::Event;
using syscalls::Sys;

// Where strace puts the equals sign, if the call is short enough (strace(1), -a).
constexpr std::size_t kResultColumn = 40;
constexpr std::size_t kNameLimit = 4096;  // of functions and files in a stack
constexpr std::size_t kTextLimit = 32;    // strace(1), -s

std::string micros(base::Nanoseconds duration) {
  const auto us = std::chrono::floor<std::chrono::microseconds>(duration).count();
  constexpr std::int64_t kSecond = 1'000'000;
  return fmt::format("{}.{:06}", us / kSecond, us % kSecond);
}

std::string error_text(std::int64_t result) {
  const std::string name = syscalls::error_name(result);
  switch (-result) {  // results that the kernel keeps from the program (linux/errno.h)
    case 512:
      return "? " + name + " (To be restarted if SA_RESTART is set)";
    case 513:
      return "? " + name + " (To be restarted)";
    case 514:
      return "? " + name + " (To be restarted if no handler)";
    case 516:
      return "? " + name + " (Interrupted by signal)";
    default:
      break;
  }
  const char* words = strerrordesc_np(static_cast<int>(-result));
  return fmt::format("-1 {} ({})", name, words != nullptr ? words : "Unknown error");
}

bool times_out_with_zero(Sys call) {
  return call == Sys::poll || call == Sys::ppoll || call == Sys::select || call == Sys::pselect6;
}

std::string result_text(const Call& call, const syscalls::DecodedCall& decoded) {
  if (!call.result) return "?";
  if (call.result->is_error) return error_text(call.result->value);
  std::string text = fmt::format("{}", call.result->value);
  if (decoded.result) {
    // Names of constants stand behind the number.
    const auto& data = decoded.result->data;
    if (const auto* flags = std::get_if<syscalls::Flags>(&data)) {
      text = fmt::format("{:#x}", flags->raw);
      if (!flags->text.empty()) text += " (flags " + flags->text + ")";
    } else if (std::holds_alternative<syscalls::Hex>(data) ||
               std::holds_alternative<syscalls::Address>(data) ||
               std::holds_alternative<syscalls::Octal>(data)) {
      text = syscalls::to_text(*decoded.result, kTextLimit);
    }
  }
  if (call.result->value == 0 && times_out_with_zero(call.sys())) text += " (Timeout)";
  return text;
}

std::string call_line(const Call& call) {
  const auto decoded = syscalls::decode(call.raw, call.result, call.memory);
  std::string text = decoded.name + "(";
  for (std::size_t i = 0; i < decoded.args.size(); ++i) {
    if (i > 0) text += ", ";
    text += syscalls::to_text(decoded.args[i].value, kTextLimit);
  }
  const bool returns = !never_returns(call.sys());
  if (!call.end && returns) return text + " <unfinished ...>";
  text += ") ";
  if (text.size() < kResultColumn) text.resize(kResultColumn, ' ');
  text += "= " + result_text(call, decoded);
  if (call.end && returns) text += fmt::format(" <{}>", micros(*call.end - call.start));
  return text;
}

// As `strace -k` has them, which knows of native frames alone.
std::string stack_text(const model::StackSeen& stack) {
  std::string text;
  for (const model::NativeFrame& frame : stack.frames) {
    std::string function = terminal_text(frame.function, kNameLimit);
    if (!function.empty()) function += fmt::format("+{:#x}", frame.offset);
    text +=
        fmt::format(" > {}({}) [{:#x}]\n", path_text(frame.module, kNameLimit), function, frame.pc);
  }
  return text;
}

std::string code_name(const model::SignalStop& stop) {
  struct Name {
    int code;
    const char* text;
  };
  static constexpr Name kAny[] = {{SI_USER, "SI_USER"},   {SI_KERNEL, "SI_KERNEL"},
                                  {SI_QUEUE, "SI_QUEUE"}, {SI_TIMER, "SI_TIMER"},
                                  {SI_MESGQ, "SI_MESGQ"}, {SI_TKILL, "SI_TKILL"}};
  static constexpr Name kChild[] = {{CLD_EXITED, "CLD_EXITED"},   {CLD_KILLED, "CLD_KILLED"},
                                    {CLD_DUMPED, "CLD_DUMPED"},   {CLD_TRAPPED, "CLD_TRAPPED"},
                                    {CLD_STOPPED, "CLD_STOPPED"}, {CLD_CONTINUED, "CLD_CONTINUED"}};
  static constexpr Name kFault[] = {{SEGV_MAPERR, "SEGV_MAPERR"}, {SEGV_ACCERR, "SEGV_ACCERR"}};
  const auto find = [&](const auto& names) -> const char* {
    for (const Name& name : names) {
      if (name.code == stop.code) return name.text;
    }
    return nullptr;
  };
  const char* name = find(kAny);
  if (name == nullptr && stop.signo == SIGCHLD) name = find(kChild);
  if (name == nullptr && stop.signo == SIGSEGV) name = find(kFault);
  return name != nullptr ? name : fmt::format("{:#x}", stop.code);
}

std::string signal_text(const model::SignalStop& stop) {
  const std::string name = syscalls::signal_name(stop.signo);
  std::string text = fmt::format("--- {} {{si_signo={}, si_code={}", name, name, code_name(stop));
  if (stop.sender) text += fmt::format(", si_pid={}", stop.sender);
  if (stop.address != 0) text += fmt::format(", si_addr={:#x}", stop.address);
  return text + "} ---";
}

std::string exit_text(const model::TaskExit& exit) {
  if (!exit.signaled) return fmt::format("+++ exited with {} +++", exit.code);
  return fmt::format("+++ killed by {}{} +++", syscalls::signal_name(exit.code),
                     exit.core_dumped ? " (core dumped)" : "");
}

}  // namespace

StraceLog::StraceLog(const model::TraceHeader& header, ByteSink sink, std::size_t most_held)
    : wall_offset_(header.started_wall - header.started.since_boot),
      sink_(std::move(sink)),
      most_held_(most_held) {}

void StraceLog::on_event(const Event& event) {
  if (const auto call = calls_.observe(event)) ended(*call);
  begun(event);
  if (const auto* stop = std::get_if<model::SignalStop>(&event.data)) {
    remark(event, signal_text(*stop));
  } else if (const auto* group = std::get_if<model::GroupStop>(&event.data)) {
    remark(event, fmt::format("--- stopped by {} ---", syscalls::signal_name(group->signo)));
  } else if (const auto* exit = std::get_if<model::TaskExit>(&event.data)) {
    remark(event, exit_text(*exit));
  } else if (const auto* exec = std::get_if<model::Exec>(&event.data);
             exec != nullptr && exec->former_tid && exec->former_tid != event.tid) {
    remark(event, fmt::format("+++ superseded by execve in pid {} +++", exec->former_tid));
  }
  let_out();
}

void StraceLog::begun(const Event& event) {
  if (std::holds_alternative<model::Exec>(event.data)) {
    // It ended the calls of other threads, and moved one to another tid.
    open_.clear();
    open_places_.clear();
    for (const Call* call : calls_.open_calls()) {
      const Place place{call->start, call->first_sequence};
      open_[call->tid] = place;
      open_places_.insert(place);
    }
    return;
  }
  if (!std::holds_alternative<model::SyscallEnter>(event.data)) return;
  const Call* call = calls_.open_call(event.tid);
  if (call == nullptr) return;
  const Place place{call->start, call->first_sequence};
  open_[event.tid] = place;
  open_places_.insert(place);
}

void StraceLog::ended(const Call& call) {
  if (const auto at = open_.find(call.tid); at != open_.end()) {
    open_places_.erase(at->second);
    open_.erase(at);
  }
  const Place place{call.start, call.first_sequence};
  hold(place, call.tid, call_line(call));
  if (call.stack) held_[place] += stack_text(*call.stack);
}

void StraceLog::remark(const Event& event, std::string_view text) {
  hold({event.at, event.sequence}, event.tid, text);
}

void StraceLog::hold(Place place, base::Tid tid, std::string_view text) {
  // Something of an event may stand there already: a call that its task's exit ended.
  std::string& lines = held_[place];
  lines += fmt::format("{:<5} {} {}\n", tid, micros(place.first.since_boot + wall_offset_), text);
}

void StraceLog::let_out() {
  while (!held_.empty() && (open_places_.empty() || held_.begin()->first < *open_places_.begin() ||
                            held_.size() > most_held_)) {
    sink_(held_.begin()->second);
    held_.erase(held_.begin());
  }
}

void StraceLog::close() {
  for (const Call& call : calls_.close()) ended(call);
  open_.clear();
  open_places_.clear();
  let_out();
}

}  // namespace stucktrace::render
