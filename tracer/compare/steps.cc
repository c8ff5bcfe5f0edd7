#include "tracer/compare/steps.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <limits>

#include "syscalls/io.h"
#include "tracer/compare/call_facts.h"
#include "tracer/compare/call_text.h"
#include "tracer/compare/path_text.h"

namespace stucktrace::compare {
namespace {

using model::ResourceKind;
using syscalls::Sys;

}  // namespace

void Steps::enter(const model::Call& call, ThreadLines& out) {
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
      const std::string address = connect_address(call, *normalise_);
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
      if (auto line = writing_open(call, *normalise_)) out.milestone(std::move(*line));
      return;
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
      } else if (auto line = path_change(call, *normalise_)) {
        things_->follow_paths(call);
        out.milestone(std::move(*line));
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
  for (const auto& end : moved_fds(call)) {
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
  const auto awaited = awaited_child(call);
  if (!awaited) return;
  std::string who;
  if (!awaited->is_pidfd) {
    who = child(awaited->number);
  } else if (const Thing* thing = things_->find(call.pid, awaited->number)) {
    who = thing->target;
  }
  if (who.empty()) return;
  out.wait(fmt::format("{} child {}", awaited->polls ? "polls" : "waits", who));
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
  using To = SentSignal::To;
  const auto sent = sent_signal(call);
  if (!sent) return;
  std::string target;
  switch (sent->to) {
    case To::kProcess:
      target = child(sent->number);
      break;
    case To::kThread:
      target = roles_->of_tid(base::Tid{sent->number});
      break;
    case To::kPidFd:
      if (const Thing* thing = things_->find(call.pid, sent->number)) target = thing->target;
      break;
    case To::kOwnGroup:
      target = "its process group";
      break;
    case To::kGroup:
      target = "the process group of " + child(sent->number);
      break;
    case To::kEverybody:
      target = "every process";
      break;
  }
  out.milestone(fmt::format("sends {} to {}", syscalls::signal_name(sent->signo),
                            target.empty() ? "<pid>" : target));
}

}  // namespace stucktrace::compare
