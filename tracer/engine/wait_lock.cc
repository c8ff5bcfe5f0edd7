// Waits on file locks, System V semaphores and message queues.

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <span>
#include <vector>

#include "tracer/engine/wait_context.h"
#include "tracer/kernel/sysv_ipc.h"

namespace stucktrace::engine {
namespace {

using kernel::FdInfo;
using model::FdMode;
using model::ResourceKind;
using model::Wait;
using model::WaitKind;
using syscalls::Sys;

// The lock somebody asks for.
struct Wanted {
  enum class Type : std::uint8_t { kFlock, kPosix, kOfd } type = Type::kPosix;
  bool exclusive = true;
  std::uint64_t start = 0;
  std::optional<std::uint64_t> end = {};  // inclusive; nullopt = to the end of the file
};

bool overlap(const Wanted& wanted, const FdInfo::Lock& held) {
  const std::uint64_t wanted_end = wanted.end.value_or(UINT64_MAX);
  const std::uint64_t held_end = held.end.value_or(UINT64_MAX);
  return wanted.start <= held_end && held.start <= wanted_end;
}

// flock and fcntl locks do not see each other; POSIX and open-file-description locks do (fcntl(2)).
bool conflicts(const Wanted& wanted, const FdInfo::Lock& held) {
  if (held.waiting) return false;
  const bool flock = wanted.type == Wanted::Type::kFlock;
  if (flock != (held.type == "FLOCK")) return false;
  if (!flock && held.type != "POSIX" && held.type != "OFDLCK") return false;
  if (!wanted.exclusive && held.mode != "WRITE") return false;
  return flock || overlap(wanted, held);
}

std::string describe(const FdInfo::Lock& lock) {
  const std::string end = lock.end ? std::to_string(*lock.end) : std::string{"EOF"};
  return fmt::format("{} {} {}-{}", lock.type, lock.mode, lock.start, end);
}

// A lock that belongs to the open file, which the waiter changes by its call: it does not stand in
// its own way, through whatever copy of the descriptor it is seen.
bool is_own_lock(const WaitContext& context, const Wanted& wanted, const FdInfo::Lock& held,
                 const model::Holder& holder) {
  // A process's POSIX locks never conflict with each other.
  if (wanted.type == Wanted::Type::kPosix) {
    return held.type == "POSIX" && holder.pid == context.process.pid;
  }
  const std::string_view type = wanted.type == Wanted::Type::kFlock ? "FLOCK" : "OFDLCK";
  if (held.type != type) return false;
  const int fd = context.int_arg(0);
  if (holder.pid == context.process.pid && holder.fd == fd) return true;
  return context.around.probes
      .same_open_file(base::main_thread(holder.pid), holder.fd, context.tid, fd)
      .value_or(false);
}

// The lock lines in fdinfo are the truth: the pid in /proc/locks is who took a flock, and may be
// long dead while a child keeps the open file; an OFD lock has none at all.
void find_owners(const WaitContext& context, const Wanted& wanted, model::OnLock& on) {
  const auto add = [&](base::Pid pid, const FdInfo::Lock& lock) {
    on.owners.push_back(pid);
    const base::Pid taker{static_cast<std::int32_t>(lock.pid)};
    if (lock.pid > 0 && taker != pid && !context.around.procfs.stat(taker)) {
      on.taken_by_gone = taker;
    }
    if (on.description.empty()) on.description = describe(lock);
  };
  for (const model::Holder& holder : context.around.holders.holders(on.file)) {
    const auto info = context.around.procfs.fdinfo(holder.pid, holder.fd);
    if (!info) continue;
    for (const FdInfo::Lock& lock : info->locks) {
      if (!conflicts(wanted, lock) || is_own_lock(context, wanted, lock, holder)) continue;
      add(holder.pid, lock);
    }
  }
  if (on.owners.empty()) {
    for (const FdInfo::Lock& lock :
         context.around.procfs.locks().value_or(std::vector<FdInfo::Lock>{})) {
      const std::uint64_t device = makedev(static_cast<unsigned>(lock.device_major),
                                           static_cast<unsigned>(lock.device_minor));
      const bool same_file = lock.inode == on.file.inode && device == on.file.device;
      const bool has_owner = lock.pid > 0 && lock.pid != context.process.pid.value();
      if (same_file && has_owner && lock.type == "POSIX" && conflicts(wanted, lock)) {
        add(base::Pid{lock.pid}, lock);
      }
    }
  }
  std::ranges::sort(on.owners);
  on.owners.erase(std::unique(on.owners.begin(), on.owners.end()), on.owners.end());
}

Wait lock_wait(const WaitContext& context, const Wanted& wanted) {
  const auto entry = find_fd(context, context.int_arg(0));
  if (!entry) return unknown_wait(WaitKind::kFileLock, "the locked descriptor is not in sight");
  Wait wait;
  wait.kind = WaitKind::kFileLock;
  model::OnLock on;
  on.file = {ResourceKind::kFileLock, entry->resource.device, entry->resource.inode, 0};
  context.around.notes.labels[on.file] = entry->label;
  find_owners(context, wanted, on);
  const bool seen = !on.owners.empty();
  wait.on.push_back(std::move(on));
  if (!seen) wait.on.push_back(model::OnUnknown{"who holds the lock cannot be seen"});
  return wait;
}

// Numbers of System V objects count within an IPC namespace; 0 = ours, where their state can be
// asked for.
std::uint64_t ipc_namespace(const WaitContext& context) {
  const kernel::Procfs& procfs = context.around.procfs;
  const auto its = procfs.link(fmt::format("{}/ns/ipc", context.process.pid));
  const auto own = procfs.link("self/ns/ipc");
  if (!its || !own || *its == *own) return 0;
  return kernel::parse_fd_link(*its).inode;
}

Wait queue_wait(const WaitContext& context, ResourceKind kind, FdMode direction) {
  Wait wait;
  const std::uint64_t number = context.arg(0) & UINT32_MAX;
  wait.on.push_back(model::OnFd{-1, {kind, ipc_namespace(context), number, 0}, direction});
  return wait;
}

struct SemaphoreOperation {  // struct sembuf
  std::uint16_t number;
  std::int16_t change;
  std::int16_t flags;
};
static_assert(sizeof(SemaphoreOperation) == 6);

// Operations are tried in their order; the first that cannot be done is what the caller sleeps on
// (semop(2)).
std::uint16_t blocking_semaphore(int set, std::span<const SemaphoreOperation> operations) {
  std::map<std::uint16_t, int> values;
  for (const SemaphoreOperation& operation : operations) {
    const auto [at, is_new] = values.try_emplace(operation.number);
    if (is_new) {
      const auto state = kernel::semaphore_state(set, operation.number);
      if (!state) break;
      at->second = state->value;
    }
    const bool waits_for_zero = operation.change == 0 && at->second != 0;
    if (waits_for_zero || at->second + operation.change < 0) return operation.number;
    at->second += operation.change;
  }
  return operations.front().number;
}

}  // namespace

Wait read_flock(const WaitContext& context) {
  Wanted wanted;
  wanted.type = Wanted::Type::kFlock;
  wanted.exclusive = (context.arg(1) & LOCK_EX) != 0;
  return lock_wait(context, wanted);
}

std::optional<Wait> read_fcntl_lock(const WaitContext& context) {
  constexpr std::uint64_t kSetWait = 7, kSetWait64 = 14, kOfdSetWait = 38;  // F_*SETLKW*
  const std::uint64_t command = context.arg(1);
  const bool waits = command == kSetWait || command == kOfdSetWait ||
                     (context.layout().narrow_words && command == kSetWait64);
  if (!waits) return std::nullopt;
  Wanted wanted;
  if (command == kOfdSetWait) wanted.type = Wanted::Type::kOfd;
  // A range counted from the position or the end of the file is taken as the whole file: more
  // owners than needed, never fewer.
  if (const auto request = syscalls::read_flock(context.memory, context.pointer(2),
                                                context.layout(), context.int_arg(1))) {
    wanted.exclusive = request->type != F_RDLCK;
    if (request->whence == SEEK_SET && request->start >= 0 && request->length >= 0) {
      wanted.start = static_cast<std::uint64_t>(request->start);
      if (request->length > 0) {
        wanted.end = wanted.start + static_cast<std::uint64_t>(request->length) - 1;
      }
    }
  }
  return lock_wait(context, wanted);
}

Wait read_sysv_semaphore(const WaitContext& context) {
  constexpr std::size_t kMaxOperations = 500;  // SEMOPM
  std::vector<SemaphoreOperation> operations(std::min<std::size_t>(context.arg(2), kMaxOperations));
  const std::size_t got =
      context.memory.read(context.pointer(1), std::as_writable_bytes(std::span{operations}));
  operations.resize(got / sizeof(SemaphoreOperation));
  Wait wait = queue_wait(context, ResourceKind::kSysvSemaphore, FdMode::kRead);
  wait.kind = WaitKind::kSemaphore;
  model::ResourceId& id = std::get<model::OnFd>(wait.on.front()).resource;
  // The number of the semaphore within its set goes into the identity.
  if (!operations.empty()) id.offset = operations.front().number;
  if (operations.size() > 1 && id.device == 0) {
    id.offset = blocking_semaphore(static_cast<int>(id.inode), operations);
  }
  if (context.id == Sys::semtimedop) wait.timeout = read_time(context, context.pointer(3));
  return wait;
}

Wait read_sysv_queue(const WaitContext& context) {
  Wait wait = queue_wait(context, ResourceKind::kSysvQueue,
                         context.id == Sys::msgrcv ? FdMode::kRead : FdMode::kWrite);
  wait.kind = WaitKind::kMsgQueue;
  return wait;
}

Wait read_posix_queue(const WaitContext& context) {
  const bool receives = context.id == Sys::mq_timedreceive;
  Wait wait = read_fd_call(context, context.int_arg(0), receives ? FdMode::kRead : FdMode::kWrite);
  wait.kind = WaitKind::kMsgQueue;
  constexpr int kRealtime = 0;  // mq_timedsend(3): the deadline is on CLOCK_REALTIME
  if (const auto deadline = read_time(context, context.pointer(4))) {
    wait.remaining = time_to(context, kRealtime, *deadline);
    wait.timeout = wait.remaining;
  }
  return wait;
}

}  // namespace stucktrace::engine
