#include "tracer/kernel/descendants.h"

#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <map>

#include "tracer/kernel/pidfd.h"

namespace stucktrace::kernel {

base::Result<void> adopt_orphans() {
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0) return {};
  return base::system_error("becoming the parent of orphans", base::Errno::last());
}

Descendants::Look Descendants::look(const std::vector<Process>& former) const {
  std::multimap<base::Pid, Process> by_parent;
  for (const base::Pid pid : procfs_.processes().value_or(std::vector<base::Pid>{})) {
    const auto stat = procfs_.stat(pid);
    if (!stat || stat->state == 'Z' || stat->state == 'X') continue;
    by_parent.emplace(base::Pid{stat->parent}, Process{pid, stat->start_time});
  }
  struct Parent {
    base::Pid pid;
    bool former = false;
  };
  Look found;
  std::deque<Parent> parents{{base::Pid{::getpid()}, false}};
  while (!parents.empty()) {
    const Parent parent = parents.front();
    parents.pop_front();
    const auto [first, last] = by_parent.equal_range(parent.pid);
    for (auto child = first; child != last; ++child) {
      const bool is_former = parent.former || std::ranges::binary_search(former, child->second);
      (is_former ? found.former : found.ours).push_back(child->second);
      parents.push_back({child->second.pid, is_former});
    }
    by_parent.erase(first, last);  // a torn look may have a loop in it
  }
  std::ranges::sort(found.ours);
  std::ranges::sort(found.former);
  return found;
}

std::vector<Descendants::Process> Descendants::now() const {
  return look(former_).ours;
}

void Descendants::note_former() {
  former_ = look(former_).former;
}

base::Result<void> Descendants::signal(const Process& process, int signo) const {
  const auto handle = open_pidfd(process.pid);
  if (!handle) return base::Failure{handle.error()};
  // The handle may be one of a later process of this number; from here on it cannot change.
  const auto stat = procfs_.stat(process.pid);
  if (!stat || stat->start_time != process.start_time) {
    return base::system_error("sending a signal", base::Errno{ESRCH});
  }
  if (::syscall(SYS_pidfd_send_signal, handle->get(), signo, nullptr, 0U) == 0) return {};
  return base::system_error("sending a signal", base::Errno::last());
}

}  // namespace stucktrace::kernel
