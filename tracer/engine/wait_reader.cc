#include "tracer/engine/wait_reader.h"

#include <fmt/format.h>

#include <algorithm>

#include "tracer/engine/wait_context.h"

namespace stucktrace::engine {
namespace {

using model::FdMode;
using model::Wait;
using model::WaitKind;
using syscalls::Sys;

// After a stop and a continue, poll, nanosleep and futex show restart_syscall with the registers of
// the original call (restart_syscall(2)). Only the function slept in still tells which it was.
Sys restarted_call(const ThreadSample& thread, const syscalls::RawCall& call) {
  const std::string_view wchan = thread.wchan;
  const auto has = [wchan](std::string_view part) {
    return wchan.find(part) != std::string_view::npos;
  };
  if (has("poll")) return Sys::poll;
  if (has("futex")) return Sys::futex;
  if (has("nanosleep") || has("nsleep")) {
    // clock_nanosleep begins with a clock number, nanosleep with a pointer.
    constexpr std::uint64_t kFirstPage = 4096;
    return call.args[0] < kFirstPage ? Sys::clock_nanosleep : Sys::nanosleep;
  }
  return Sys::kUnknown;
}

Wait of_kind(WaitKind kind) {
  Wait wait;
  wait.kind = kind;
  return wait;
}

Wait disk_wait(const ThreadSample& thread) {
  Wait wait;
  wait.kind = WaitKind::kDisk;
  wait.on.push_back(model::OnOutside{
      thread.wchan.empty() ? std::string{"disk"} : fmt::format("disk ({})", thread.wchan)});
  return wait;
}

Wait other_wait(const WaitContext& context) {
  const std::string_view wchan = context.thread.wchan;
  return unknown_wait(WaitKind::kOther,
                      wchan.empty() ? std::string{"nothing is known about this call's waits"}
                                    : fmt::format("sleeps in {}", wchan));
}

Wait dispatch_sync(const WaitContext& context) {
  switch (context.id) {
    case Sys::futex:
    case Sys::futex_wait:
      return read_futex(context);
    case Sys::futex_waitv:
      return read_futex_vector(context);
    case Sys::wait4:
    case Sys::waitid:
      return read_child_wait(context);
    case Sys::vfork:
    case Sys::clone:
    case Sys::clone3:
      return read_vfork(context).value_or(other_wait(context));
    case Sys::flock:
      return read_flock(context);
    case Sys::fcntl:
      return read_fcntl_lock(context).value_or(other_wait(context));
    case Sys::semop:
    case Sys::semtimedop:
      return read_sysv_semaphore(context);
    case Sys::msgrcv:
    case Sys::msgsnd:
      return read_sysv_queue(context);
    case Sys::mq_timedsend:
    case Sys::mq_timedreceive:
      return read_posix_queue(context);
    case Sys::nanosleep:
    case Sys::clock_nanosleep:
      return read_sleep(context);
    case Sys::rt_sigtimedwait:
    case Sys::rt_sigsuspend:
    case Sys::pause:
      return read_signal_wait(context);
    case Sys::io_uring_enter:
      return unknown_wait(WaitKind::kIoUring, "operations inside an io_uring cannot be seen");
    case Sys::fsync:
    case Sys::fdatasync:
    case Sys::sync:
    case Sys::syncfs:
    case Sys::io_getevents:
    case Sys::io_pgetevents:
      return disk_wait(context.thread);
    default:
      return other_wait(context);
  }
}

Wait dispatch(const WaitContext& context) {
  switch (context.id) {
    case Sys::read:
    case Sys::readv:
    case Sys::pread64:
    case Sys::preadv:
    case Sys::preadv2:
    case Sys::recvfrom:
    case Sys::recvmsg:
    case Sys::recvmmsg:
      return read_fd_call(context, context.int_arg(0), FdMode::kRead);
    case Sys::write:
    case Sys::writev:
    case Sys::pwrite64:
    case Sys::pwritev:
    case Sys::pwritev2:
    case Sys::sendto:
    case Sys::sendmsg:
    case Sys::sendmmsg:
    case Sys::vmsplice:
      return read_fd_call(context, context.int_arg(0), FdMode::kWrite);
    case Sys::splice:
      return read_splice(context, context.int_arg(0), context.int_arg(2));
    case Sys::tee:
      return read_splice(context, context.int_arg(0), context.int_arg(1));
    case Sys::sendfile:
      return read_splice(context, context.int_arg(1), context.int_arg(0));
    case Sys::accept:
    case Sys::accept4:
      return read_accept(context);
    case Sys::connect:
      return read_connect(context);
    case Sys::open:
    case Sys::openat:
    case Sys::openat2:
    case Sys::creat:
      return read_open(context);
    case Sys::poll:
    case Sys::ppoll:
      return read_poll(context);
    case Sys::select:
    case Sys::pselect6:
      return read_select(context);
    case Sys::epoll_wait:
    case Sys::epoll_pwait:
    case Sys::epoll_pwait2:
      return read_epoll(context);
    default:
      return dispatch_sync(context);
  }
}

Wait stopped_wait(const ThreadSample& thread) {
  Wait wait;
  wait.kind = WaitKind::kStopped;
  if (thread.tracer != 0) {
    wait.on.push_back(model::OnTask{base::Pid{thread.tracer}});
  } else {
    wait.on.push_back(model::OnSignal{});  // SIGCONT
  }
  return wait;
}

// Without permission for the system call, the function slept in gives the kind and nothing more.
Wait guess_from_wchan(const ThreadSample& thread, const std::string& because) {
  struct Hint {
    std::string_view part;
    WaitKind kind;
  };
  static constexpr Hint kHints[] = {
      {"pipe_write", WaitKind::kPipeWrite},
      {"pipe_read", WaitKind::kPipeRead},
      {"pipe_wait", WaitKind::kPipeRead},
      {"wait_for_partner", WaitKind::kFifoOpen},
      {"futex", WaitKind::kFutex},
      {"do_wait", WaitKind::kChildWait},
      {"epoll", WaitKind::kMultiplex},
      {"ep_poll", WaitKind::kMultiplex},
      {"poll_schedule", WaitKind::kMultiplex},
      {"nanosleep", WaitKind::kSleep},
      {"unix_stream_read", WaitKind::kUnixRead},
      {"sock_alloc_send", WaitKind::kUnixWrite},
      {"csk_accept", WaitKind::kAccept},
      {"unix_wait_for_peer", WaitKind::kConnect},
  };
  for (const Hint& hint : kHints) {
    if (thread.wchan.find(hint.part) != std::string::npos) return unknown_wait(hint.kind, because);
  }
  return unknown_wait(WaitKind::kOther, because);
}

// Blocked, but in no system call: a page fault, or a signal being delivered.
Wait outside_a_call(const ThreadSample& thread) {
  if (thread.pulse.state == 'D') return disk_wait(thread);
  return unknown_wait(WaitKind::kOther, thread.wchan.empty()
                                            ? std::string{"blocked outside a system call"}
                                            : fmt::format("page fault in {}", thread.wchan));
}

// The thread is in a call, and does not wait for what the call is about.
std::optional<Wait> answered_by_another(const ThreadSample& thread) {
  const std::string_view wchan = thread.wchan;
  if (wchan.contains("seccomp_do_user_notif")) {
    return unknown_wait(WaitKind::kOther, "a seccomp supervisor has to answer this call");
  }
  if (wchan.contains("handle_userfault")) {
    return unknown_wait(WaitKind::kOther, "a userfaultfd handler has to bring a page");
  }
  return std::nullopt;
}

Wait read_blocked(const Surroundings& around, const ProcessView& process, base::Tid tid,
                  const ThreadSample& thread, const syscalls::RemoteMemory& memory) {
  if (!thread.pulse.line) return guess_from_wchan(thread, thread.pulse.line.error().because);
  const auto& line = *thread.pulse.line;
  if (!line) return of_kind(WaitKind::kRunning);
  if (line->call.number < 0) return outside_a_call(thread);
  WaitContext context{around,
                      process,
                      tid,
                      thread,
                      memory,
                      line->call,
                      syscalls::sys_of(line->call.abi, line->call.number)};
  if (context.id == Sys::restart_syscall) context.id = restarted_call(thread, line->call);
  if (thread.pulse.state == 'D') {
    // The parent of a vfork sleeps uninterruptibly too, and that is no disk (vfork(2)).
    if (context.id == Sys::vfork || context.id == Sys::clone || context.id == Sys::clone3) {
      if (auto wait = read_vfork(context)) return *wait;
    }
    return disk_wait(thread);
  }
  if (auto wait = answered_by_another(thread)) return *wait;
  return dispatch(context);
}

}  // namespace

Wait unknown_wait(WaitKind kind, std::string because) {
  Wait wait;
  wait.kind = kind;
  wait.on.push_back(model::OnUnknown{std::move(because)});
  return wait;
}

std::optional<base::Tid> own_thread(const ProcessView& process, std::int32_t inner_tid) {
  base::Tid tid{inner_tid};
  if (!process.inner_tids.empty()) {
    const auto at = process.inner_tids.find(inner_tid);
    if (at == process.inner_tids.end()) return std::nullopt;
    tid = at->second;
  }
  if (!std::ranges::binary_search(process.live_threads, tid)) return std::nullopt;
  return tid;
}

Wait read_wait(const Surroundings& around, const ProcessView& process, base::Tid tid,
               const ThreadSample& thread, const syscalls::RemoteMemory& memory) {
  switch (thread.pulse.state) {
    case 'R':
      return of_kind(WaitKind::kRunning);
    case 'T':
      return stopped_wait(thread);
    case 't':
      // In a stop of our own it is between two steps of its run.
      if (thread.tracer == around.tracer_self.value() && thread.tracer != 0) {
        return of_kind(WaitKind::kRunning);
      }
      return stopped_wait(thread);
    case 'Z':
    case 'X':
    case 'x':
      return of_kind(WaitKind::kOther);  // has ended: waits for nothing, can do nothing
    default:
      return read_blocked(around, process, tid, thread, memory);
  }
}

}  // namespace stucktrace::engine
