#include "tracer/compare/call_facts.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>

#include <algorithm>

#include "syscalls/wire.h"
#include "tracer/compare/call_text.h"
#include "tracer/compare/path_text.h"

namespace stucktrace::compare {
namespace {

using syscalls::Sys;

// linux/wait.h, sys/file.h, linux/stat.h
constexpr std::uint64_t kNoHang = 1;
constexpr std::uint64_t kNoWait = 0x01000000;
constexpr std::uint64_t kIdPid = 1;
constexpr std::uint64_t kIdPidFd = 3;
constexpr std::uint64_t kUnlock = 8;
constexpr std::uint64_t kTypeMask = 0170000;
constexpr std::uint64_t kFifo = 0010000;

std::string up_to_nul(std::string text) {
  text.resize(std::min(text.find('\0'), text.size()));
  return text;
}

}  // namespace

model::Call begun_call(const model::Event& event, const model::SyscallEnter& enter) {
  model::Call call;
  call.pid = event.pid;
  call.tid = event.tid;
  call.raw = enter.call;
  call.memory = enter.memory;
  return call;
}

std::vector<syscalls::PolledFd> moved_fds(const model::Call& call) {
  std::vector<syscalls::PolledFd> fds = syscalls::io_fds(call.raw);
  if (!fds.empty()) return fds;
  const auto fd = syscalls::io_fd(call.raw);
  const bool reads = syscalls::is_read_like(call.sys());
  const bool writes = syscalls::is_write_like(call.sys());
  if (fd && (reads || writes)) fds.push_back({*fd, reads, writes});
  return fds;
}

std::optional<int> written_fd(const model::Call& call) {
  for (const auto& end : moved_fds(call)) {
    if (end.write) return end.fd;
  }
  return std::nullopt;
}

std::optional<std::string> path_change(const model::Call& call, const Normaliser& normalise) {
  const std::string_view verb = path_verb(call.sys());
  if (verb.empty()) return std::nullopt;
  std::string line{verb};
  for (const char* name : {"pathname", "oldname", "newname"}) {
    const auto path = path_argument(call, name);
    if (!path) continue;
    if (is_runtime_path(*path)) return std::nullopt;
    if (std::string_view{name} == "newname") line += " to";
    line += " " + quoted(path_text(*path, normalise));
  }
  return line;
}

std::optional<std::string> writing_open(const model::Call& call, const Normaliser& normalise) {
  const std::string how = writing_text(call);
  const auto path = path_argument(call, "pathname");
  if (how.empty() || !path || is_runtime_path(*path)) return std::nullopt;
  return fmt::format("opens {} {}", quoted(path_text(*path, normalise)), how);
}

std::string connect_address(const model::Call& call, const Normaliser& normalise) {
  std::string address = address_text(call, normalise);
  constexpr std::string_view kUnix = "unix \"";
  if (!address.starts_with(kUnix)) return address;
  std::string_view path{address};
  path.remove_prefix(kUnix.size());
  path.remove_suffix(1);
  return is_runtime_path(path) ? std::string{} : address;
}

std::optional<std::string> made_fifo(const model::Call& call) {
  const auto& args = call.raw.args;
  const std::uint64_t mode = call.sys() == Sys::mknod     ? args[1]
                             : call.sys() == Sys::mknodat ? args[2]
                                                          : 0;
  if ((mode & kTypeMask) != kFifo) return std::nullopt;
  auto path = path_argument(call, "pathname");
  return path ? std::optional{up_to_nul(std::move(*path))} : std::nullopt;
}

std::optional<std::string> removed_path(const model::Call& call) {
  if (call.sys() != Sys::unlink && call.sys() != Sys::unlinkat) return std::nullopt;
  auto path = path_argument(call, "pathname");
  return path ? std::optional{up_to_nul(std::move(*path))} : std::nullopt;
}

std::optional<AwaitedChild> awaited_child(const model::Call& call) {
  const auto& args = call.raw.args;
  AwaitedChild child;
  if (call.sys() == Sys::wait4) {
    child.number = as_int(args[0]);
    child.polls = (args[2] & kNoHang) != 0;
    if (child.number <= 0) return std::nullopt;
    return child;
  }
  if (call.sys() != Sys::waitid || (args[0] != kIdPid && args[0] != kIdPidFd)) return std::nullopt;
  child.number = as_int(args[1]);
  child.is_pidfd = args[0] == kIdPidFd;
  child.polls = (args[3] & kNoHang) != 0;
  return child;
}

std::optional<std::int32_t> reaped_child(const model::Call& call) {
  const auto& args = call.raw.args;
  if (!call.result || call.result->is_error) return std::nullopt;
  if (call.sys() == Sys::wait4) {
    if (call.result->value <= 0) return std::nullopt;
    constexpr std::uint32_t kStopped = 0x7f;  // WIFSTOPPED
    constexpr std::uint32_t kContinued = 0xffff;
    std::uint32_t status = 0;
    const bool told = call.memory.read_value(base::RemoteAddr{args[1]}, status);
    if (told && ((status & 0xffU) == kStopped || status == kContinued)) return std::nullopt;
    return static_cast<std::int32_t>(call.result->value);
  }
  if ((args[3] & kNoWait) != 0 || args[2] == 0) return std::nullopt;
  syscalls::KernelSiginfo info;
  if (!syscalls::read_wire(call.memory, base::RemoteAddr{args[2]}, syscalls::layout_of(call.raw),
                           info) ||
      info.pid <= 0) {
    return std::nullopt;
  }
  if (info.code != CLD_EXITED && info.code != CLD_KILLED && info.code != CLD_DUMPED) {
    return std::nullopt;
  }
  return info.pid;
}

std::optional<SentSignal> sent_signal(const model::Call& call) {
  using To = SentSignal::To;
  const auto& args = call.raw.args;
  SentSignal sent{as_int(args[1]), To::kProcess, as_int(args[0])};
  switch (call.sys()) {
    case Sys::kill:
    case Sys::rt_sigqueueinfo:
      if (sent.number == 0) sent.to = To::kOwnGroup;
      if (sent.number == -1) sent.to = To::kEverybody;
      if (sent.number < -1) {
        sent.to = To::kGroup;
        sent.number = as_int(std::uint64_t{0} - args[0]);
      }
      break;
    case Sys::tkill:
      sent.to = To::kThread;
      break;
    case Sys::tgkill:
      sent = {as_int(args[2]), To::kThread, as_int(args[1])};
      break;
    case Sys::pidfd_send_signal:
      sent.to = To::kPidFd;
      break;
    default:
      return std::nullopt;
  }
  if (sent.signo == 0 || is_timing_noise(sent.signo)) return std::nullopt;
  return sent;
}

bool is_timing_noise(int signo) {
  constexpr int kSetXid = 33;  // glibc's own: cancellation and set*id() of all threads
  switch (signo) {
    case SIGCHLD:
    case SIGALRM:
    case SIGVTALRM:
    case SIGPROF:
    case SIGURG:  // Go's preemption
    case SIGWINCH:
    case SIGCONT:
      return true;
    default:
      return signo >= 32 && signo <= kSetXid;
  }
}

bool takes_a_lock(const model::Call& call) {
  if (call.sys() == Sys::flock) return (call.raw.args[1] & kUnlock) == 0;
  switch (as_int(call.raw.args[1])) {
    case F_SETLK:
    case F_SETLKW:
    case 13:  // F_SETLK64, F_SETLKW64 of a 32-bit call
    case 14:
    case 37:  // F_OFD_SETLK, F_OFD_SETLKW: <fcntl.h> shows them to GNU sources only
    case 38: {
      std::int16_t type = F_UNLCK;  // first member of struct flock
      return call.memory.read_value(base::RemoteAddr{call.raw.args[2]}, type) && type != F_UNLCK;
    }
    default:
      return false;
  }
}

}  // namespace stucktrace::compare
