#include "tracer/compare/steps.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>

#include <limits>

#include "syscalls/io.h"
#include "syscalls/wire.h"
#include "tracer/compare/call_text.h"
#include "tracer/compare/path_text.h"

namespace stucktrace::compare {
namespace {

using model::ResourceKind;
using syscalls::Sys;

// linux/wait.h, sys/file.h
constexpr std::uint64_t kNoHang = 1;
constexpr std::uint64_t kNoWait = 0x01000000;
constexpr std::uint64_t kIdPid = 1;
constexpr std::uint64_t kIdPidFd = 3;
constexpr std::uint64_t kUnlock = 8;

int as_int(std::uint64_t argument) {
  return static_cast<int>(static_cast<std::uint32_t>(argument));
}

}  // namespace

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

void Steps::enter(const model::Call& call, ThreadLines& out) {
  // Whether a look meets a call is a matter of time; what is stuck in it is a finding anyway.
  if (call.looked_up) return;
  switch (call.sys()) {
    case Sys::wait4:
    case Sys::waitid:
      return wait_for_child(call, out);
    case Sys::poll:
    case Sys::ppoll:
    case Sys::select:
    case Sys::pselect6:
      return poll(call, out);
    case Sys::epoll_wait:
    case Sys::epoll_pwait:
    case Sys::epoll_pwait2: {
      const std::string step = wait_step(call.pid, as_int(call.raw.args[0]), true);
      if (!step.empty()) out.wait_set(step);
      return;
    }
    case Sys::accept:
    case Sys::accept4:
      if (const Thing* thing = things_->find(call.pid, as_int(call.raw.args[0]))) {
        out.wait(fmt::format("waits {} read", thing->name));
      }
      return;
    case Sys::flock:
    case Sys::fcntl:
      return lock(call, out);
    case Sys::semop:
    case Sys::semtimedop:
      return out.wait("waits semaphore");
    case Sys::msgrcv:
      return out.wait("waits message queue read");
    case Sys::msgsnd:
      return out.wait("waits message queue write");
    case Sys::connect: {
      const std::string address = address_text(call, *normalise_);
      if (!address.empty()) out.wait("connects to " + address);
      return;
    }
    default:
      if (syscalls::is_read_like(call.sys()) || syscalls::is_write_like(call.sys())) {
        move_data(call, out);
      }
  }
}

void Steps::exit(const model::Call& call, const std::vector<Thing*>& fresh, ThreadLines& out) {
  if (!call.result || call.result->is_error) return;
  make(call, fresh, out);
  plumb(call, out);
  switch (call.sys()) {
    case Sys::wait4:
    case Sys::waitid:
      return;
    case Sys::open:
    case Sys::openat:
    case Sys::openat2:
    case Sys::creat:
      return open_for_writing(call, out);
    case Sys::bind:
    case Sys::listen:
      return name_socket(call, out);
    case Sys::kill:
    case Sys::tkill:
    case Sys::tgkill:
    case Sys::rt_sigqueueinfo:
    case Sys::pidfd_send_signal:
      return send_signal(call, out);
    default:
      if (has_output_text(call)) {
        write_output(call, out);
      } else {
        change_paths(call, out);
      }
  }
}

std::string Steps::wait_step(base::Pid pid, int fd, bool read) const {
  const Thing* thing = things_->find(pid, fd);
  if (thing == nullptr || !thing->can_block()) return {};
  if (thing->kind == ResourceKind::kPidFd) {
    return "waits child " + (thing->target.empty() ? std::string{"<pid>"} : thing->target);
  }
  // Room for output is no step of its own: the text is.
  if (!read && things_->is_output(pid, fd)) return {};
  return fmt::format("waits {} {}", thing->name, read ? "read" : "write");
}

void Steps::move_data(const model::Call& call, ThreadLines& out) {
  const bool text = has_output_text(call);
  std::vector<syscalls::PolledFd> fds = syscalls::io_fds(call.raw);
  if (fds.empty()) {
    if (const auto fd = syscalls::io_fd(call.raw)) {
      fds.push_back({*fd, syscalls::is_read_like(call.sys()), syscalls::is_write_like(call.sys())});
    }
  }
  for (const auto& end : fds) {
    if (end.write && text) continue;
    if (end.write && things_->is_output(call.pid, end.fd)) {
      if (const Thing* thing = things_->find(call.pid, end.fd)) {
        out.wait(fmt::format("waits {} write", thing->name));
      }
      continue;
    }
    std::string step = wait_step(call.pid, end.fd, end.read);
    if (!step.empty()) out.wait(std::move(step));
  }
}

void Steps::poll(const model::Call& call, ThreadLines& out) {
  std::set<std::string> steps;
  for (const auto& end : syscalls::polled_fds(call.raw, call.memory)) {
    if (end.read) steps.insert(wait_step(call.pid, end.fd, true));
    if (end.write) steps.insert(wait_step(call.pid, end.fd, false));
  }
  steps.erase(std::string{});  // without any descriptor it is a sleep: the clock's business
  out.wait_any({steps.begin(), steps.end()});
}

std::string Steps::child(std::int32_t pid) const {
  const std::string& role = roles_->of_pid(base::Pid{pid});
  return role.empty() ? "<pid>" : role;
}

// Waits for any child say nothing by their place: shells reap in a signal handler or in a call that
// blocks, as it happens. Who was waited for is among the process's deeds.
void Steps::wait_for_child(const model::Call& call, ThreadLines& out) {
  const auto& args = call.raw.args;
  std::string who;
  std::uint64_t options = 0;
  if (call.sys() == Sys::wait4) {
    options = args[2];
    const std::int32_t pid = as_int(args[0]);
    if (pid > 0) who = child(pid);
  } else {
    options = args[3];
    if (args[0] == kIdPid) who = child(as_int(args[1]));
    if (args[0] == kIdPidFd) {
      const Thing* thing = things_->find(call.pid, as_int(args[1]));
      if (thing != nullptr) who = thing->target;
    }
  }
  if (who.empty()) return;
  out.wait(fmt::format("{} child {}", (options & kNoHang) != 0 ? "polls" : "waits", who));
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

void Steps::lock(const model::Call& call, ThreadLines& out) {
  if (!takes_a_lock(call)) return;
  const Thing* thing = things_->find(call.pid, as_int(call.raw.args[0]));
  out.wait("waits lock of " + (thing == nullptr ? std::string{"a file"} : thing->name));
}

void Steps::make(const model::Call& call, const std::vector<Thing*>& fresh, ThreadLines& out) {
  if (fresh.empty()) return;
  switch (call.sys()) {
    case Sys::pidfd_open:
      fresh.front()->target = child(as_int(call.raw.args[0]));
      return;
    case Sys::pipe:
    case Sys::pipe2:
    case Sys::socket:
    case Sys::socketpair:
    case Sys::eventfd:
    case Sys::eventfd2:
    case Sys::epoll_create:
    case Sys::epoll_create1:
    case Sys::signalfd:
    case Sys::signalfd4:
    case Sys::inotify_init:
    case Sys::inotify_init1: {
      std::string line = "makes " + fresh.front()->name;
      if (fresh.size() > 1) line += " and " + fresh[1]->name;
      return out.milestone(std::move(line));
    }
    case Sys::mq_open:
      return out.milestone("opens message queue " + fresh.front()->name);
    default:
      return;
  }
}

// What becomes of the standard descriptors; all others are means to that.
void Steps::plumb(const model::Call& call, ThreadLines& out) {
  const auto& args = call.raw.args;
  const auto becomes = [&](std::int64_t fd) {
    if (fd < 0 || fd > 2) return;
    const Thing* thing = things_->find(call.pid, static_cast<int>(fd));
    out.milestone(fmt::format("fd {} becomes {}", fd, thing == nullptr ? "?" : thing->name));
  };
  switch (call.sys()) {
    case Sys::dup2:
    case Sys::dup3:
      if (as_int(args[0]) != as_int(args[1])) becomes(as_int(args[1]));
      return;
    case Sys::dup:
      return becomes(call.result->value);
    case Sys::fcntl:
      if (as_int(args[1]) == F_DUPFD || as_int(args[1]) == 1030) {  // F_DUPFD_CLOEXEC
        becomes(call.result->value);
      }
      return;
    case Sys::close:
      if (args[0] <= 2) out.milestone(fmt::format("closes fd {}", args[0]));
      return;
    case Sys::open:
    case Sys::openat:
    case Sys::openat2:
    case Sys::creat:
      return becomes(call.result->value);
    default:
      return;
  }
}

bool Steps::has_output_text(const model::Call& call) const {
  if (!syscalls::is_write_like(call.sys())) return false;
  const auto fd = syscalls::io_fd(call.raw);
  if (!fd || !things_->is_output(call.pid, *fd)) return false;
  return syscalls::written_bytes(call.raw, std::numeric_limits<std::int64_t>::max(), call.memory)
      .has_value();
}

void Steps::write_output(const model::Call& call, ThreadLines& out) {
  const auto fd = syscalls::io_fd(call.raw);
  const auto text = syscalls::written_bytes(call.raw, call.result->value, call.memory);
  const Thing* thing = things_->find(call.pid, *fd);
  if (!text) return;
  // By what was asked where that is known: how much of it the call took is timing.
  const auto written = static_cast<std::uint64_t>(call.result->value);
  const bool one_buffer =
      call.sys() == Sys::write || call.sys() == Sys::pwrite64 || call.sys() == Sys::sendto;
  const auto kept =
      syscalls::written_bytes(call.raw, std::numeric_limits<std::int64_t>::max(), call.memory);
  out.output(thing == nullptr ? fmt::format("fd {}", *fd) : thing->name,
             {*text, written, kept->size() < (one_buffer ? call.raw.args[2] : written),
              kept->find('\n') != kept->size() - 1});
}

void Steps::open_for_writing(const model::Call& call, ThreadLines& out) {
  const std::string how = writing_text(call);
  const auto path = path_argument(call, "pathname");
  if (how.empty() || !path || is_runtime_path(*path)) return;
  out.milestone(fmt::format("opens \"{}\" {}", path_text(*path, *normalise_), how));
}

void Steps::change_paths(const model::Call& call, ThreadLines& out) {
  const std::string_view verb = path_verb(call.sys());
  if (verb.empty()) return;
  std::string line{verb};
  for (const char* name : {"pathname", "oldname", "newname"}) {
    const auto path = path_argument(call, name);
    if (!path) continue;
    if (is_runtime_path(*path)) return;
    if (std::string_view{name} == "newname") line += " to";
    line += fmt::format(" \"{}\"", path_text(*path, *normalise_));
  }
  out.milestone(std::move(line));
}

void Steps::name_socket(const model::Call& call, ThreadLines& out) {
  Thing* thing = things_->find(call.pid, as_int(call.raw.args[0]));
  if (thing == nullptr) return;
  if (call.sys() == Sys::listen) {
    out.milestone(fmt::format("listens on {}{}{}", thing->name, thing->bound.empty() ? "" : " at ",
                              thing->bound));
    return;
  }
  thing->bound = address_text(call, *normalise_);
  if (!thing->bound.empty()) {
    out.milestone(fmt::format("binds {} to {}", thing->name, thing->bound));
  }
}

void Steps::send_signal(const model::Call& call, ThreadLines& out) {
  const auto& args = call.raw.args;
  const int signo = as_int(args[call.sys() == Sys::tgkill ? 2 : 1]);
  if (signo == 0 || is_timing_noise(signo)) return;
  const std::int32_t pid = as_int(args[0]);
  std::string target;
  switch (call.sys()) {
    case Sys::tkill:
    case Sys::tgkill: {
      const std::string& role =
          roles_->of_tid(base::Tid{as_int(args[call.sys() == Sys::tgkill ? 1 : 0])});
      target = role.empty() ? "<pid>" : role;
      break;
    }
    case Sys::pidfd_send_signal: {
      const Thing* thing = things_->find(call.pid, pid);
      target = thing == nullptr || thing->target.empty() ? "<pid>" : thing->target;
      break;
    }
    default:
      target = pid == 0    ? "its process group"
               : pid == -1 ? "every process"
               : pid < 0   ? "the process group of " + child(-pid)
                           : child(pid);
  }
  out.milestone(fmt::format("sends {} to {}", syscalls::signal_name(signo), target));
}

}  // namespace stucktrace::compare
