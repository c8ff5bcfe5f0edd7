#include "tracer/kernel/pidfd.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace stucktrace::kernel {
namespace {

base::Result<base::UniqueFd> open_task(std::int32_t id, unsigned flags) {
  base::UniqueFd fd{static_cast<int>(::syscall(SYS_pidfd_open, id, flags))};
  if (!fd.valid()) {
    return base::system_error(fmt::format("pidfd_open {}", id), base::Errno::last(), base::Tid{id});
  }
  return fd;
}

}  // namespace

base::Result<base::UniqueFd> open_pidfd(base::Pid pid) {
  return open_task(pid.value(), 0);
}

base::Result<base::UniqueFd> open_thread_pidfd(base::Tid tid) {
  constexpr unsigned kPidfdThread = O_EXCL;
  return open_task(tid.value(), kPidfdThread);
}

base::Result<base::UniqueFd> borrow_fd(const base::UniqueFd& pidfd, int fd) {
  base::UniqueFd copy{static_cast<int>(::syscall(SYS_pidfd_getfd, pidfd.get(), fd, 0U))};
  if (!copy.valid()) {
    return base::system_error(fmt::format("pidfd_getfd {}", fd), base::Errno::last());
  }
  return copy;
}

}  // namespace stucktrace::kernel
