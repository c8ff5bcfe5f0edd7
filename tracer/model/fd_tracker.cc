#include "tracer/model/fd_tracker.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "syscalls/table.h"

namespace stucktrace::model {
namespace {

using syscalls::Sys;

// ioctl(2) requests that change a descriptor (asm-generic/ioctls.h).
constexpr std::uint64_t kFioNonBlock = 0x5421;  // FIONBIO; its int is not ours to read
constexpr std::uint64_t kFioCloseOnExec = 0x5451;
constexpr std::uint64_t kFioNoCloseOnExec = 0x5450;

int as_fd(std::uint64_t argument) {
  return static_cast<int>(static_cast<std::uint32_t>(argument));
}

// Calls whose result is a descriptor that nothing but made_fds can describe.
bool result_is_new_fd(Sys call) {
  switch (call) {
    case Sys::open:
    case Sys::openat:
    case Sys::openat2:
    case Sys::creat:
    case Sys::socket:
    case Sys::accept:
    case Sys::accept4:
    case Sys::eventfd:
    case Sys::eventfd2:
    case Sys::epoll_create:
    case Sys::epoll_create1:
    case Sys::timerfd_create:
    case Sys::signalfd:
    case Sys::signalfd4:
    case Sys::pidfd_open:
    case Sys::pidfd_getfd:
    case Sys::inotify_init:
    case Sys::inotify_init1:
    case Sys::memfd_create:
    case Sys::mq_open:
    case Sys::io_uring_setup:
    case Sys::perf_event_open:
    case Sys::userfaultfd:
      return true;
    default:
      return false;
  }
}

}  // namespace

bool is_work(const FdEntry& entry) {
  switch (entry.resource.kind) {
    case ResourceKind::kPipe:
    case ResourceKind::kFifo:
    case ResourceKind::kUnixSocket:
    case ResourceKind::kTcpSocket:
    case ResourceKind::kTty:
    case ResourceKind::kPtyMaster:
      return true;
    default:
      return entry.fd == 0;
  }
}

std::vector<FdEntry> FdTracker::entries(base::Pid pid) const {
  std::vector<FdEntry> all;
  if (const Table* own = table(pid)) {
    for (const auto& [fd, entry] : own->entries) all.push_back(entry);
  }
  return all;
}

const FdTracker::Table* FdTracker::table(base::Pid pid) const {
  const auto at = tables_.find(pid);
  return at == tables_.end() ? nullptr : at->second.get();
}

FdTracker::Table& FdTracker::writable(base::Pid pid) {
  std::shared_ptr<Table>& slot = tables_[pid];
  if (!slot) slot = std::make_shared<Table>();
  return *slot;
}

FdTracker::Table& FdTracker::unshared(base::Pid pid) {
  std::shared_ptr<Table>& slot = tables_[pid];
  if (!slot) {
    slot = std::make_shared<Table>();
  } else if (slot.use_count() > 1) {
    slot = std::make_shared<Table>(*slot);
  }
  return *slot;
}

void FdTracker::forget(base::Pid pid) {
  tables_.erase(pid);
  threads_.erase(pid);
  unclaimed_.erase(pid);
}

void FdTracker::seen(const Event& event, const TaskSeen& seen) {
  threads_[event.pid].insert(event.tid);
  if (event.tid != base::main_thread(event.pid)) return;
  const bool had_table = tables_.contains(event.pid);
  if (!had_table) unclaimed_.insert(event.pid);
  if (!seen.fds.empty()) {
    // What /proc shows is the truth of that moment, also for whoever shares the table.
    Table& table = writable(event.pid);
    table.entries.clear();
    for (const FdEntry& entry : seen.fds) table.entries[entry.fd] = entry;
  } else if (!had_table) {
    // A child that shows up before its parent's clone event already runs with the parent's
    // descriptors.
    if (const Table* parent = seen.at_attach ? nullptr : table(seen.parent); parent != nullptr) {
      tables_[event.pid] = std::make_shared<Table>(*parent);
    } else {
      writable(event.pid);
    }
  }
}

void FdTracker::made(const Event& event, const NewTask& made) {
  if (made.kind == NewTaskKind::kThread) {
    threads_[event.pid].insert(made.child);
    return;
  }
  const base::Pid child{made.child.value()};
  const bool known = unclaimed_.erase(child) != 0;
  if (!known) forget(child);  // an earlier process of this number
  threads_[child].insert(made.child);
  if (made.shares_fds) {
    if (!tables_[event.pid]) tables_[event.pid] = std::make_shared<Table>();
    tables_[child] = tables_[event.pid];
  } else if (!known) {
    const Table* parent = table(event.pid);
    tables_[child] =
        parent == nullptr ? std::make_shared<Table>() : std::make_shared<Table>(*parent);
  }
}

void FdTracker::executed(const Event& event, const Exec& exec) {
  threads_[event.pid] = {event.tid};
  Table& table = unshared(event.pid);  // execve(2): the table is unshared
  if (exec.fds.empty()) {
    std::erase_if(table.entries, [](const auto& item) { return item.second.close_on_exec; });
    return;
  }
  table.entries.clear();
  for (const FdEntry& entry : exec.fds) table.entries[entry.fd] = entry;
}

void FdTracker::duplicate(base::Pid pid, int from, int to, bool close_on_exec) {
  if (from == to) return;
  Table& table = writable(pid);
  const auto source = table.entries.find(from);
  if (source == table.entries.end()) {
    table.entries.erase(to);  // whatever it was, it is that no more
    return;
  }
  FdEntry copy = source->second;
  copy.fd = to;
  copy.close_on_exec = close_on_exec;
  table.entries[to] = std::move(copy);
}

void FdTracker::returned(const Event& event, const SyscallExit& exit) {
  const base::Pid pid = event.pid;
  const auto& args = exit.call.args;
  const Sys call = syscalls::sys_of(exit.call.abi, exit.call.number);
  if (exit.result.is_error) {
    // close(2): the descriptor is released even when an error is reported; EBADF alone is none.
    if (call == Sys::close && exit.result.value != -EBADF)
      writable(pid).entries.erase(as_fd(args[0]));
    return;
  }
  const int result = static_cast<int>(exit.result.value);
  switch (call) {
    case Sys::close:
      writable(pid).entries.erase(as_fd(args[0]));
      return;
    case Sys::close_range: {
      Table& table = (args[2] & CLOSE_RANGE_UNSHARE) != 0 ? unshared(pid) : writable(pid);
      const auto first = static_cast<std::uint32_t>(args[0]);
      const auto last = static_cast<std::uint32_t>(args[1]);
      const auto inside = [&](int fd) {
        return static_cast<std::uint32_t>(fd) >= first && static_cast<std::uint32_t>(fd) <= last;
      };
      if ((args[2] & CLOSE_RANGE_CLOEXEC) != 0) {
        for (auto& [fd, entry] : table.entries) entry.close_on_exec |= inside(fd);
      } else {
        std::erase_if(table.entries, [&](const auto& item) { return inside(item.first); });
      }
      return;
    }
    case Sys::unshare:
      if ((args[0] & CLONE_FILES) != 0) unshared(pid);
      return;
    default:
      break;
  }
  if (!exit.made_fds.empty()) {
    Table& table = writable(pid);
    for (const FdEntry& entry : exit.made_fds) table.entries[entry.fd] = entry;
    return;
  }
  const auto entry = [&](std::uint64_t fd) -> FdEntry* {
    Table& table = writable(pid);
    const auto at = table.entries.find(as_fd(fd));
    return at == table.entries.end() ? nullptr : &at->second;
  };
  switch (call) {
    case Sys::dup:
      return duplicate(pid, as_fd(args[0]), result, false);
    case Sys::dup2:
      return duplicate(pid, as_fd(args[0]), as_fd(args[1]), false);
    case Sys::dup3:
      return duplicate(pid, as_fd(args[0]), as_fd(args[1]), (args[2] & O_CLOEXEC) != 0);
    case Sys::fcntl:
      switch (static_cast<std::uint32_t>(args[1])) {
        case F_DUPFD:
          return duplicate(pid, as_fd(args[0]), result, false);
        case 1030:  // F_DUPFD_CLOEXEC, which <fcntl.h> shows to GNU and POSIX 2008 sources only
          return duplicate(pid, as_fd(args[0]), result, true);
        case F_SETFD:
          if (FdEntry* at = entry(args[0])) at->close_on_exec = (args[2] & FD_CLOEXEC) != 0;
          return;
        case F_SETFL:
          if (FdEntry* at = entry(args[0])) at->nonblocking = (args[2] & O_NONBLOCK) != 0;
          return;
        default:
          return;
      }
    case Sys::ioctl:
      if (args[1] == kFioCloseOnExec || args[1] == kFioNoCloseOnExec) {
        if (FdEntry* at = entry(args[0])) at->close_on_exec = args[1] == kFioCloseOnExec;
      } else if (args[1] == kFioNonBlock) {
        int on = 0;
        FdEntry* at = entry(args[0]);
        if (at != nullptr && exit.memory.read_value(base::RemoteAddr{args[2]}, on)) {
          at->nonblocking = on != 0;
        }
      }
      return;
    default:
      if (result_is_new_fd(call) && result >= 0) writable(pid).entries.erase(result);
  }
}

bool FdTracker::may_change(const Event& event) const {
  if (const auto* enter = std::get_if<SyscallEnter>(&event.data)) return !enter->fds.empty();
  const auto* exit = std::get_if<SyscallExit>(&event.data);
  if (exit == nullptr || !exit->made_fds.empty()) return true;
  const syscalls::SyscallRow* row = syscalls::find_row(exit->call.abi, exit->call.number);
  return row != nullptr && (row->has(syscalls::Trait::kPlumbsFds) || row->id == Sys::unshare ||
                            row->id == Sys::ioctl || row->id == Sys::fcntl);
}

void FdTracker::observe(const Event& event) {
  if (!event.tid || !may_change(event)) return;
  ++version_;
  if (const auto* enter = std::get_if<SyscallEnter>(&event.data)) {
    if (enter->fds.empty()) return;
    Table& table = writable(event.pid);
    for (const FdEntry& entry : enter->fds) table.entries[entry.fd] = entry;
  } else if (const auto* exit = std::get_if<SyscallExit>(&event.data)) {
    if (!exit->looked_up) returned(event, *exit);
  } else if (const auto* table = std::get_if<FdsSeen>(&event.data)) {
    Table& whole = writable(event.pid);
    whole.entries.clear();
    for (const FdEntry& entry : table->fds) whole.entries[entry.fd] = entry;
  } else if (const auto* first = std::get_if<TaskSeen>(&event.data)) {
    seen(event, *first);
  } else if (const auto* child = std::get_if<NewTask>(&event.data)) {
    made(event, *child);
  } else if (const auto* exec = std::get_if<Exec>(&event.data)) {
    executed(event, *exec);
  } else if (std::holds_alternative<TaskExit>(event.data)) {
    // A main thread may leave before the others (pthread_exit(3)); the table lives until the last.
    const auto at = threads_.find(event.pid);
    if (at == threads_.end()) {
      if (event.tid == base::main_thread(event.pid)) forget(event.pid);
      return;
    }
    at->second.erase(event.tid);
    if (at->second.empty()) forget(event.pid);
  }
}

const FdEntry* FdTracker::find(base::Pid pid, int fd) const {
  const Table* of = table(pid);
  if (of == nullptr) return nullptr;
  const auto at = of->entries.find(fd);
  return at == of->entries.end() ? nullptr : &at->second;
}

std::vector<Holder> FdTracker::holders(const ResourceId& resource, FdMode mode) const {
  std::vector<Holder> found;
  const auto wanted = static_cast<unsigned>(mode);
  for (const auto& [pid, of] : tables_) {
    for (const auto& [fd, entry] : of->entries) {
      if (entry.resource != resource || (static_cast<unsigned>(entry.mode) & wanted) == 0) continue;
      found.push_back({pid, fd, entry.mode});
    }
  }
  std::ranges::sort(found);
  return found;
}

bool FdTracker::is_output(base::Pid pid, int fd) const {
  if (fd == 1 || fd == 2) return true;
  const FdEntry* entry = find(pid, fd);
  if (entry == nullptr) return false;
  if (entry->resource.kind == ResourceKind::kTty) return true;
  if (entry->resource.kind == ResourceKind::kUnknown) return false;
  for (const int standard : {1, 2}) {
    const FdEntry* output = find(pid, standard);
    if (output != nullptr && output->resource == entry->resource) return true;
  }
  return false;
}

}  // namespace stucktrace::model
