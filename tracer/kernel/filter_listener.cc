#include "tracer/kernel/filter_listener.h"

#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "tracer/kernel/pidfd.h"
#include "tracer/kernel/remote_call.h"
#include "tracer/kernel/remote_memory.h"

namespace stucktrace::kernel {
namespace {

constexpr const char* kDoing = "letting a tracee go from its filter";

// linux/seccomp.h of Linux 5.7 and 5.19; older headers lack them.
constexpr std::uint64_t kTsyncEsrch = 1U << 4;
constexpr std::uint64_t kWaitKillable = 1U << 5;

base::Failure failed(const Stopped& tracee) {
  return base::system_error(kDoing, base::Errno::last(), tracee.tid());
}

// A negative result of a call the tracee made.
base::Failure refused(const Stopped& tracee, std::int64_t result) {
  return base::system_error(kDoing, base::Errno{static_cast<int>(-result)}, tracee.tid());
}

// struct sock_fprog and behind it the program, as they lie at `address`.
std::vector<std::byte> image_of(const FilterProgram& filter, std::uint64_t address) {
  sock_fprog head{};
  head.len = static_cast<unsigned short>(filter.size());
  head.filter = reinterpret_cast<sock_filter*>(address + sizeof head);
  const std::size_t bytes = filter.size() * sizeof(sock_filter);
  std::vector<std::byte> image(sizeof head + bytes);
  std::memcpy(image.data(), &head, sizeof head);
  std::memcpy(image.data() + sizeof head, filter.data(), bytes);
  return image;
}

bool is_error(std::int64_t result) {
  constexpr std::int64_t kLastErrno = -4095;
  return result < 0 && result >= kLastErrno;
}

base::Result<base::UniqueFd> borrowed(const Stopped& tracee, int fd) {
  auto handle = open_pidfd(base::Pid{tracee.tid().value()});
  if (!handle) handle = open_thread_pidfd(tracee.tid());
  if (!handle) return base::Failure{handle.error()};
  return borrow_fd(*handle, fd);
}

base::Result<void> install(RemoteCaller& caller, const Stopped& tracee, std::uint64_t address,
                           bool whole_process, const TakeListener& take) {
  std::uint64_t flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | kWaitKillable;
  if (whole_process) flags |= SECCOMP_FILTER_FLAG_TSYNC | kTsyncEsrch;
  auto made = caller.call(SYS_seccomp, {SECCOMP_SET_MODE_FILTER, flags, address});
  if (made && *made == -EINVAL) {
    // Before Linux 5.19 a signal may end a call that waits for the listener.
    made = caller.call(SYS_seccomp, {SECCOMP_SET_MODE_FILTER, flags & ~kWaitKillable, address});
  }
  if (!made) return base::Failure{made.error()};
  if (is_error(*made)) return refused(tracee, *made);
  auto listener = borrowed(tracee, static_cast<int>(*made));
  // The calls that follow may be among those that wait for it.
  if (listener) take(std::move(*listener));
  const auto closed = caller.call(SYS_close, {static_cast<std::uint64_t>(*made)});
  if (!closed) return base::Failure{closed.error()};
  if (!listener) return base::Failure{listener.error()};
  return {};
}

}  // namespace

FilterProgram asking_listener(FilterProgram filter) {
  for (sock_filter& step : filter) {
    if (step.code == (BPF_RET | BPF_K) && step.k == (SECCOMP_RET_TRACE | kFilterMark)) {
      step.k = SECCOMP_RET_USER_NOTIF;
    }
  }
  return filter;
}

base::Result<void> put_asking_filter(const Stopped& tracee, const FilterProgram& filter,
                                     bool whole_process, const TakeListener& take) {
  auto caller = RemoteCaller::begin(tracee);
  if (!caller) return base::Failure{caller.error()};
  const std::uint64_t bytes = image_of(filter, 0).size();
  const auto room = caller->call(
      SYS_mmap, {0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, ~std::uint64_t{0}});
  if (!room) return base::Failure{room.error()};
  base::Result<void> done;
  if (is_error(*room)) {
    done = refused(tracee, *room);
  } else {
    const auto address = static_cast<std::uint64_t>(*room);
    done = write_memory(tracee.tid(), base::RemoteAddr{address}, image_of(filter, address))
               ? install(*caller, tracee, address, whole_process, take)
               : failed(tracee);
    const auto unmapped = caller->call(SYS_munmap, {address, bytes});
    if (!unmapped) return base::Failure{unmapped.error()};
  }
  if (auto ended = caller->end(); !ended) return ended;
  return done;
}

bool pass_one(const base::UniqueFd& listener) {
  // The kernel may know more fields than the header this was built with: it writes that many bytes.
  seccomp_notif_sizes sizes{};
  if (syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) != 0) return false;
  std::vector<std::byte> asked(std::max<std::size_t>(sizes.seccomp_notif, sizeof(seccomp_notif)));
  if (::ioctl(listener.get(), SECCOMP_IOCTL_NOTIF_RECV, asked.data()) != 0) return false;
  seccomp_notif notification;
  std::memcpy(&notification, asked.data(), sizeof notification);
  std::vector<std::byte> answer(
      std::max<std::size_t>(sizes.seccomp_notif_resp, sizeof(seccomp_notif_resp)));
  seccomp_notif_resp response{};
  response.id = notification.id;
  response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
  std::memcpy(answer.data(), &response, sizeof response);
  return ::ioctl(listener.get(), SECCOMP_IOCTL_NOTIF_SEND, answer.data()) == 0;
}

}  // namespace stucktrace::kernel
