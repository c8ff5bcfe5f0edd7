#include "tracer/render/call_text.h"

#include <fmt/format.h>
#include <linux/futex.h>

#include <algorithm>
#include <ctime>
#include <utility>
#include <vector>

#include "syscalls/decode.h"
#include "syscalls/io.h"
#include "tracer/base/text.h"
#include "tracer/render/escape.h"

namespace stucktrace::render {
namespace {

using model::FdEntry;
using model::FdMode;
using model::Holder;
using model::ResourceKind;
using syscalls::ArgKind;
using syscalls::Sys;
using syscalls::Value;

template <class T>
bool is(const Value& value) {
  return std::holds_alternative<T>(value.data);
}

base::Nanoseconds as_duration(const syscalls::Duration& value) {
  constexpr std::int64_t kMostSeconds = 9'000'000'000;  // stays inside 64 bits of nanoseconds
  return std::chrono::seconds{std::clamp(value.seconds, -kMostSeconds, kMostSeconds)} +
         base::Nanoseconds{std::clamp<std::int64_t>(value.nanoseconds, 0, 999'999'999)};
}

// Counts that repeat what another argument shows.
bool repeats_another(std::string_view name) {
  return name == "nfds" || name == "n" || name == "maxevents" || name == "iovcnt" ||
         name == "vlen" || name == "addrlen" || name == "addr_len" || name == "sigsetsize";
}

bool times_out_with_zero(Sys call) {
  return call == Sys::poll || call == Sys::ppoll || call == Sys::select || call == Sys::pselect6 ||
         call == Sys::epoll_wait || call == Sys::epoll_pwait || call == Sys::epoll_pwait2;
}

bool ends_with_zero(Sys call) {
  return call == Sys::read || call == Sys::pread64 || call == Sys::readv || call == Sys::recvfrom ||
         call == Sys::recvmsg;
}

// The clock of the point in time a call waits until; nullopt if it waits for a duration (or not by
// time at all). See clock_nanosleep(2), futex(2), mq_receive(3).
std::optional<int> deadline_clock(const model::Call& call) {
  const auto& args = call.raw.args;
  const auto clock = [&](std::size_t index) { return static_cast<int>(args[index]); };
  switch (call.sys()) {
    case Sys::clock_nanosleep:
      return (args[1] & TIMER_ABSTIME) != 0 ? std::optional{clock(0)} : std::nullopt;
    case Sys::futex: {
      const auto command = static_cast<int>(args[1] & FUTEX_CMD_MASK);
      constexpr int kLockPi2 = 13;  // Linux 5.14
      if (command == FUTEX_LOCK_PI) return CLOCK_REALTIME;
      if (command != FUTEX_WAIT_BITSET && command != FUTEX_WAIT_REQUEUE_PI && command != kLockPi2) {
        return std::nullopt;
      }
      return (args[1] & FUTEX_CLOCK_REALTIME) != 0 ? CLOCK_REALTIME : CLOCK_MONOTONIC;
    }
    case Sys::futex_wait:
      return clock(5);
    case Sys::futex_waitv:
      return clock(4);
    case Sys::mq_timedsend:
    case Sys::mq_timedreceive:
      return CLOCK_REALTIME;
    default:
      return std::nullopt;
  }
}

// By name: a decoder leaves out arguments that the call does not use (futex, fcntl).
ArgKind kind_of(const syscalls::DecodedCall& decoded, std::string_view name) {
  if (decoded.row == nullptr) return ArgKind::kRaw;
  const auto spec = std::ranges::find(decoded.row->args, name, &syscalls::ArgSpec::name);
  return spec == decoded.row->args.end() ? ArgKind::kRaw : spec->kind;
}

}  // namespace

bool never_returns(syscalls::Sys call) {
  return call == syscalls::Sys::exit || call == syscalls::Sys::exit_group;
}

std::string exit_words(const model::TaskExit& exit) {
  if (!exit.signaled) return fmt::format("exits with status {}", exit.code);
  return fmt::format("is killed by {}{}", syscalls::signal_name(exit.code),
                     exit.core_dumped ? " (core dumped)" : "");
}

struct CallText::Context {
  const model::Call& call;
  base::Pid pid;
  const std::vector<FdEntry>& made;
  const FdNames& names;
};

std::string CallText::process(std::int32_t pid) const {
  const std::string role = tree_.process_role(base::Pid{pid});
  return role == "?" ? fmt::format("{}", pid) : role;
}

std::string CallText::holders(const std::vector<Holder>& holders) const {
  constexpr std::size_t kShown = 4;
  std::string text;
  for (std::size_t i = 0; i < std::min(holders.size(), kShown); ++i) {
    text +=
        fmt::format("{}{}:{}", i == 0 ? "" : ", ", process(holders[i].pid.value()), holders[i].fd);
  }
  if (holders.size() > kShown) text += fmt::format(", {} more", holders.size() - kShown);
  return text;
}

std::string CallText::other_end(base::Pid pid, const FdEntry& entry) const {
  const ResourceKind kind = entry.resource.kind;
  if (kind == ResourceKind::kPipe || kind == ResourceKind::kFifo) {
    const bool out = model::writes(entry.mode);
    const bool in = model::reads(entry.mode);
    if (!out && !in) return {};
    // A descriptor for both directions has everybody else at its other end.
    const FdMode wanted = out && in ? FdMode::kBoth : out ? FdMode::kRead : FdMode::kWrite;
    auto others = fds_.holders(entry.resource, wanted);
    std::erase_if(others,
                  [&](const Holder& holder) { return holder.pid == pid && holder.fd == entry.fd; });
    if (others.empty()) return {};
    return fmt::format(" {} {}", out && in ? "↔" : out ? "→" : "←", holders(others));
  }
  if (const auto pair = pairs_.find(entry.resource); pair != pairs_.end()) {
    const auto others = fds_.holders(pair->second, FdMode::kBoth);
    if (!others.empty()) return fmt::format(" ↔ {}", holders(others));
  }
  return {};
}

std::string CallText::fd(base::Pid pid, const FdEntry& entry) const {
  std::string what;
  switch (entry.resource.kind) {
    case ResourceKind::kUnknown:
      return fmt::format("{}", entry.fd);
    case ResourceKind::kFifo:
    case ResourceKind::kTty:
    case ResourceKind::kPtyMaster:
    case ResourceKind::kRegularFile:
    case ResourceKind::kDirectory:
    case ResourceKind::kCharDevice:
    case ResourceKind::kBlockDevice:
    case ResourceKind::kMessageQueue:
    case ResourceKind::kMemFd:
      what = path_text(entry.label, text_limit_);
      break;
    case ResourceKind::kPipe:
    case ResourceKind::kUnixSocket:
    case ResourceKind::kTcpSocket:
    case ResourceKind::kOtherSocket:
      what = to_string(entry.resource);
      break;
    default:  // anonymous inodes share a number that says nothing
      what = kind_word(entry.resource.kind);
  }
  if (what.empty()) what = kind_word(entry.resource.kind);
  return fmt::format("{}<{}{}>", entry.fd, what, other_end(pid, entry));
}

std::string CallText::fd(base::Pid pid, int fd) const {
  const FdEntry* entry = fds_.find(pid, fd);
  return entry == nullptr ? fmt::format("{}", fd) : this->fd(pid, *entry);
}

void CallText::pair(const model::ResourceId& one, const model::ResourceId& other) {
  constexpr std::size_t kMost = 4096;
  if (pairs_.size() >= kMost) pairs_.clear();
  pairs_[one] = other;
  pairs_[other] = one;
}

std::string CallText::value(const Value& value, const Context& context, int depth) const {
  constexpr int kDeepest = 8;
  if (depth > kDeepest) return "…";
  if (const auto* descriptor = std::get_if<syscalls::Fd>(&value.data)) {
    const int number = descriptor->fd;
    for (const FdEntry& made : context.made) {
      if (made.fd == number) return fd(context.pid, made);
    }
    if (const auto name = context.names.find(number); name != context.names.end()) {
      return name->second;
    }
    if (number >= 0) return fd(context.pid, number);
  }
  if (const auto* task = std::get_if<syscalls::PidValue>(&value.data); task && task->pid > 0) {
    return process(task->pid);
  }
  if (const auto* array = std::get_if<syscalls::Array>(&value.data)) {
    std::string text = "[";
    for (const Value& item : array->items) {
      if (text.size() > 1) text += ", ";
      text += this->value(item, context, depth + 1);
    }
    return text + (array->cut ? ", …]" : "]");
  }
  if (const auto* record = std::get_if<syscalls::Struct>(&value.data)) {
    std::string text = "{";
    for (const syscalls::Field& field : record->fields) {
      if (text.size() > 1) text += ", ";
      text += field.name + "=" + this->value(field.value, context, depth + 1);
    }
    return text + "}";
  }
  if (const auto* buffer = std::get_if<syscalls::Buffer>(&value.data);
      buffer && buffer->bytes.empty() && buffer->size > 0) {
    return "…";  // not kept
  }
  if (const auto* time = std::get_if<syscalls::Duration>(&value.data); time && compact_) {
    const base::Nanoseconds duration = as_duration(*time);
    return deadline(context.call, duration).value_or(base::human_duration(duration));
  }
  return base::escape_text(syscalls::to_text(value, text_limit_));
}

// A time that the call takes as a point on a clock: what was left until then when it began. nullopt
// where the call takes durations.
std::optional<std::string> CallText::deadline(const model::Call& call, base::Nanoseconds at) const {
  const auto clock = deadline_clock(call);
  if (!clock) return std::nullopt;
  const bool wall = *clock == CLOCK_REALTIME;
  if ((wall && !wall_offset_) || (!wall && *clock != CLOCK_MONOTONIC)) return "until a set time";
  const base::Nanoseconds left =
      at - call.start.since_boot - (wall ? *wall_offset_ : base::Nanoseconds{0});
  return left.count() < 0 ? "its time is up" : base::human_duration(left) + " left";
}

// "" where the argument is not worth a word.
std::string CallText::argument(const syscalls::DecodedCall& decoded, std::size_t index,
                               const Context& context) const {
  const syscalls::Argument& argument = decoded.args[index];
  if (!compact_) return value(argument.value, context, 0);
  const ArgKind kind = kind_of(decoded, argument.name);
  // The word of a futex is what it is known by.
  const bool identity = argument.name == "uaddr";
  if (is<syscalls::Null>(argument.value) || (is<syscalls::Address>(argument.value) && !identity) ||
      kind == ArgKind::kFutexVal || kind == ArgKind::kFutexVal3 ||
      is<syscalls::Buffer>(argument.value) || repeats_another(argument.name)) {
    return {};
  }
  if (const auto* flags = std::get_if<syscalls::Flags>(&argument.value.data);
      flags && flags->raw == 0) {
    return {};
  }
  if (kind == ArgKind::kSize) return value(argument.value, context, 0) + " bytes";
  if (kind == ArgKind::kTimeoutMs) {
    if (const auto* ms = std::get_if<syscalls::Integer>(&argument.value.data)) {
      if (ms->value < 0) return {};
      return base::human_duration(std::chrono::milliseconds{ms->value});
    }
  }
  return value(argument.value, context, 0);
}

std::string CallText::result(const syscalls::DecodedCall& decoded, const Context& context) const {
  return decoded.result ? value(*decoded.result, context, 0) : std::string{};
}

std::string CallText::call(const model::Call& call, const FdNames& names) const {
  const auto decoded = syscalls::decode(call.raw, call.result, call.memory);
  const Context context{call, call.pid, call.made_fds, names};
  std::string text = decoded.name + "(";
  bool first = true;
  for (std::size_t i = 0; i < decoded.args.size(); ++i) {
    const std::string word = argument(decoded, i, context);
    if (word.empty()) continue;
    if (!std::exchange(first, false)) text += ", ";
    text += word;
  }
  text += ")";
  if (!call.result) return text;
  if (call.result->is_error) return text + " = " + syscalls::error_name(call.result->value);
  // The duplicate replaces what its number stood for until now: the old name would be wrong.
  const bool duplicates = call.sys() == syscalls::Sys::dup || call.sys() == syscalls::Sys::dup2 ||
                          call.sys() == syscalls::Sys::dup3;
  const std::string meaning = duplicates ? std::string{} : result(decoded, context);
  text += " = " + (meaning.empty() ? fmt::format("{}", call.result->value) : meaning);
  if (call.result->value == 0 && times_out_with_zero(call.sys())) text += " (time-out)";
  if (call.result->value == 0 && ends_with_zero(call.sys())) text += " (end of file)";
  return text;
}

FdNames CallText::names_of(const model::Call& call) const {
  FdNames names;
  constexpr std::size_t kMost = 64;
  const auto add = [&](int number) {
    if (names.size() < kMost) names.emplace(number, fd(call.pid, number));
  };
  if (const auto one = syscalls::io_fd(call.raw)) add(*one);
  for (const auto& each : syscalls::io_fds(call.raw)) add(each.fd);
  for (const auto& polled : syscalls::polled_fds(call.raw, call.memory)) add(polled.fd);
  return names;
}

}  // namespace stucktrace::render
