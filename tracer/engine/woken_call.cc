#include "tracer/engine/woken_call.h"

#include <cerrno>

#include "syscalls/io.h"
#include "tracer/kernel/remote_memory.h"

namespace stucktrace::engine {

using syscalls::Sys;

bool ends_when_woken(const syscalls::RawCall& call, const syscalls::RemoteMemory& memory,
                     base::Nanoseconds longest) {
  switch (syscalls::sys_of(call.abi, call.number)) {
    case Sys::semop:
      return true;
    case Sys::epoll_wait:
    case Sys::epoll_pwait:
    case Sys::epoll_pwait2:
    case Sys::semtimedop:
    case Sys::rt_sigtimedwait:
    case Sys::io_getevents:
    case Sys::io_pgetevents: {
      const auto limit = syscalls::call_timeout(call, memory);
      return limit && (!limit->value || (!limit->absolute_clock && *limit->value <= longest));
    }
    case Sys::io_uring_enter: {
      constexpr std::uint64_t kExtendedArgument = 1U << 3U;  // IORING_ENTER_EXT_ARG: a time-out
      return call.args[1] == 0 && (call.args[3] & kExtendedArgument) == 0;
    }
    default:
      return false;
  }
}

base::Result<kernel::InterruptedCall> undo_wake(const kernel::Stopped& stopped,
                                                base::Nanoseconds longest) {
  auto call = kernel::interrupted_call(stopped);
  if (!call || call->call.abi != syscalls::kNativeAbi || call->call.number < 0 ||
      call->result != -EINTR) {
    return call;
  }
  if (!ends_when_woken(call->call, kernel::ProcessMemory(stopped.tid()), longest)) {
    return call;
  }
  constexpr std::int64_t kWillRestart = -514;
  if (kernel::restart_call(stopped)) call->result = kWillRestart;
  return call;
}

}  // namespace stucktrace::engine
