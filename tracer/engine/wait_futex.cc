// Waits on futexes (futex(2)).

#include <dirent.h>
#include <fmt/format.h>
#include <linux/futex.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <ctime>
#include <memory>
#include <vector>

#include "tracer/engine/futex_roles.h"
#include "tracer/engine/wait_context.h"

namespace stucktrace::engine {
namespace {

using model::OnFutex;
using model::ResourceKind;
using model::Wait;
using model::WaitKind;
using syscalls::Sys;

constexpr std::size_t kMaxVector = 128;  // FUTEX_WAITV_MAX

// The path under which a file was made may be gone while the file has another name beside it:
// sem_open(3) makes semaphores so.
bool has_other_name(const WaitContext& context, const kernel::MapEntry& mapping) {
  const std::string directory = mapping.path.substr(0, mapping.path.rfind('/'));
  const std::string path =
      context.around.procfs.path(fmt::format("{}/root{}", context.process.pid, directory));
  const std::unique_ptr<DIR, int (*)(DIR*)> entries{::opendir(path.c_str()), &::closedir};
  if (!entries) return false;
  while (const dirent* entry = ::readdir(entries.get())) {
    if (entry->d_ino == mapping.inode) return true;
  }
  return false;
}

// Shared memory that has a name can come to be shared by anybody, who may act on the word then;
// without one, by whoever has a descriptor of it. "" by nobody.
std::string who_may_map(const WaitContext& context, const OnFutex& on) {
  if (on.is_private) return {};
  const kernel::MapEntry* mapping = context.around.cache.mapping(context.process.pid, on.address);
  if (mapping == nullptr) return {};
  // "/SYSV0000002a (deleted)": a segment of System V has no file, but a number to attach it by.
  if (mapping->path.starts_with("/SYSV")) return "whoever attaches the shared memory segment";
  if (!mapping->path.ends_with(" (deleted)") || has_other_name(context, *mapping)) {
    return fmt::format("whoever opens {}", mapping->path);
  }
  const model::ResourceId file{ResourceKind::kRegularFile, on.futex.device, on.futex.inode, 0};
  for (const model::Holder& holder : context.around.holders.holders(file)) {
    if (std::ranges::binary_search(on.sharers, holder.pid) || !model::writes(holder.mode)) continue;
    return fmt::format("process {}, which has {} open", holder.pid, mapping->path);
  }
  return {};
}

// A futex is one of an address space unless the page is shared memory: without the private flag
// the kernel looks at the mapping, and so must we.
void locate(const WaitContext& context, OnFutex& on) {
  on.futex = {ResourceKind::kFutex, context.process.address_space, on.address.value(), 0};
  if (on.is_private) return;
  const kernel::MapEntry* mapping = context.around.cache.mapping(context.process.pid, on.address);
  if (mapping == nullptr) return;
  if (!mapping->shared) {
    on.is_private = true;
    return;
  }
  const std::uint64_t device = makedev(mapping->device_major, mapping->device_minor);
  const std::uint64_t offset = mapping->offset + (on.address.value() - mapping->start);
  on.futex = {ResourceKind::kFutex, device, mapping->inode, offset};
  on.sharers = context.around.holders.mappers(device, mapping->inode);
}

bool is_alive(const kernel::Procfs& procfs, base::Pid pid, base::Tid tid) {
  const auto stat = procfs.stat(pid, tid);
  return stat && stat->state != 'Z' && stat->state != 'X';
}

// As far as can be seen; one that has ended counts for nothing.
bool in_one_namespace(const WaitContext& context, const std::vector<base::Pid>& sharers) {
  const auto space_of = [&context](base::Pid pid) {
    return context.around.procfs.link(fmt::format("{}/ns/pid", pid));
  };
  const auto own = space_of(context.process.pid);
  return std::ranges::all_of(sharers, [&](base::Pid sharer) {
    if (sharer == context.process.pid) return true;
    const auto other = space_of(sharer);
    if (!other) return other.error().kind == base::ErrorKind::kGone;
    return own && *own == *other;
  });
}

// The live thread of a sharer that has this number in the namespace of all of them.
std::optional<base::Tid> thread_of(const WaitContext& context,
                                   const std::vector<base::Pid>& sharers, std::int32_t inner) {
  const kernel::Procfs& procfs = context.around.procfs;
  const bool nested = !context.process.inner_tids.empty();
  for (const base::Pid sharer : sharers) {
    if (!nested) {
      if (is_alive(procfs, sharer, base::Tid{inner})) return base::Tid{inner};
      continue;
    }
    for (const base::Tid tid : procfs.tasks(sharer).value_or(std::vector<base::Tid>{})) {
      const auto status = procfs.status(sharer, tid);
      const bool same = status && !status->ns_pids.empty() && status->ns_pids.back() == inner;
      if (same && is_alive(procfs, sharer, tid)) return tid;
    }
  }
  return std::nullopt;
}

// No task at all has that number, as far as it is one of our own pid namespace.
bool is_nobodys(const WaitContext& context, std::int32_t inner) {
  if (!context.process.inner_tids.empty() || !context.around.holders.sees_everybody()) return false;
  const auto stat = context.around.procfs.stat(base::Pid{inner});
  return !stat && stat.error().kind == base::ErrorKind::kGone;
}

// A thread of another process that lives in the same memory: the parent of a vfork child, a child
// made with CLONE_VM.
struct Roommate {
  std::optional<base::Tid> tid;
  bool is_known = true;  // that there is none, too
};
Roommate roommate_of(const WaitContext& context, std::int32_t inner) {
  const ProcessView& process = context.process;
  if (!process.inner_tids.empty()) {
    const base::Pid first{static_cast<std::int32_t>(process.address_space)};
    if (first == process.pid) return {};
    return {thread_of(context, {first}, inner)};
  }
  const auto status = context.around.procfs.status(base::Pid{inner});
  if (!status) return {{}, status.error().kind == base::ErrorKind::kGone};
  const base::Tid tid{inner};
  if (!is_alive(context.around.procfs, base::Pid{status->tgid}, tid)) return {};
  const auto same = context.around.probes.same_memory(context.tid, tid);
  if (!same) return {{}, same.error().kind == base::ErrorKind::kGone};
  return *same ? Roommate{tid} : Roommate{};
}

// The owner as our pid namespace numbers it. A number that means no live thread of a process with
// the word in its memory is kept as it is: the owner is gone, or never was in this process (fork).
void name_owner(const WaitContext& context, std::int32_t inner, OnFutex& on) {
  // Each sharer of a word writes its number as its own pid namespace has it.
  if (!on.is_private && !in_one_namespace(context, on.sharers)) return;
  if (const auto own = own_thread(context.process, inner)) {
    on.owner = own;
    on.owner_alive = true;
    return;
  }
  if (on.is_private) {
    const Roommate roommate = roommate_of(context, inner);
    on.owner_alive = roommate.tid.has_value();
    // Where it may not be asked whether they share their memory, nothing is said.
    if (roommate.is_known) on.owner = roommate.tid.value_or(base::Tid{inner});
    return;
  }
  if (const auto sharer = thread_of(context, on.sharers, inner)) {
    on.owner = sharer;
    on.owner_alive = true;
    return;
  }
  // Gone, unless it is of a process that cannot be seen to share the word.
  if (is_nobodys(context, inner) || context.around.holders.all_mappers_known()) {
    on.owner = base::Tid{inner};
  }
}

void read_word(const WaitContext& context, FutexCall call, Wait& wait) {
  OnFutex on;
  on.address = call.address;
  on.is_private = call.is_private;
  locate(context, on);
  if (!context.memory.read_value(call.address, call.word)) {
    on.word = model::unknown("the futex word could not be read");
    wait.on.push_back(std::move(on));
    return;
  }
  on.word = call.word;
  const FutexRole found = find_futex_role(call, context.memory, [&context](std::int32_t tid) {
    return own_thread(context.process, tid).has_value();
  });
  on.role = found.role;
  if (found.owner) name_owner(context, *found.owner, on);
  if (on.role == OnFutex::Role::kJoin) wait.kind = WaitKind::kThreadJoin;
  // What has an owner is released by that one.
  std::string others = on.owner ? std::string{} : who_may_map(context, on);
  if (!others.empty()) wait.on.push_back(model::OnOutside{std::move(others)});
  wait.on.push_back(std::move(on));
}

void set_deadline(const WaitContext& context, base::RemoteAddr address, bool absolute, int clock_id,
                  Wait& wait) {
  wait.timeout = read_time(context, address);
  if (!wait.timeout || !absolute) return;
  wait.remaining = time_to(context, clock_id, *wait.timeout);
  wait.timeout = wait.remaining;
}

void read_classic(const WaitContext& context, Wait& wait) {
  const int operation = context.int_arg(1);
  const int command = operation & FUTEX_CMD_MASK;
  constexpr int kLockPi2 = 13;  // FUTEX_LOCK_PI2, Linux 5.14
  FutexCall call;
  call.address = context.pointer(0);
  call.expected = static_cast<std::uint32_t>(context.arg(2));
  call.is_private = (operation & FUTEX_PRIVATE_FLAG) != 0;
  call.is_pi = command == FUTEX_LOCK_PI || command == kLockPi2;
  call.is_bitset = command == FUTEX_WAIT_BITSET;
  call.has_timeout = context.arg(3) != 0;
  const bool realtime = (operation & FUTEX_CLOCK_REALTIME) != 0 || command == FUTEX_LOCK_PI;
  set_deadline(context, context.pointer(3), command != FUTEX_WAIT,
               realtime ? CLOCK_REALTIME : CLOCK_MONOTONIC, wait);
  read_word(context, call, wait);
}

// futex_wait(uaddr, val, mask, flags, timeout, clockid), Linux 6.7. Flags as of futex2.
void read_futex2(const WaitContext& context, Wait& wait) {
  constexpr std::uint64_t kPrivate2 = FUTEX_PRIVATE_FLAG;
  FutexCall call;
  call.address = context.pointer(0);
  call.expected = static_cast<std::uint32_t>(context.arg(1));
  call.is_private = (context.arg(3) & kPrivate2) != 0;
  call.is_bitset = true;
  call.has_timeout = context.arg(4) != 0;
  set_deadline(context, context.pointer(4), true, context.int_arg(5), wait);
  read_word(context, call, wait);
}

}  // namespace

Wait read_futex(const WaitContext& context) {
  Wait wait;
  wait.kind = WaitKind::kFutex;
  if (context.id == Sys::futex_wait) {
    read_futex2(context, wait);
  } else {
    read_classic(context, wait);
  }
  return wait;
}

// futex_waitv(waiters, count, flags, timeout, clockid), Linux 5.16.
Wait read_futex_vector(const WaitContext& context) {
  struct Waiter {
    std::uint64_t value;
    std::uint64_t address;
    std::uint32_t flags;
    std::uint32_t reserved;
  };
  static_assert(sizeof(Waiter) == 24);
  Wait wait;
  wait.kind = WaitKind::kFutex;
  const std::size_t count = std::min<std::size_t>(context.arg(1), kMaxVector);
  for (std::size_t i = 0; i < count; ++i) {
    Waiter waiter{};
    const base::RemoteAddr at{context.arg(0) + i * sizeof(Waiter)};
    if (!context.memory.read_value(at, waiter)) {
      wait.on.push_back(model::OnUnknown{"the futex list could not be read"});
      break;
    }
    FutexCall call;
    call.address = base::RemoteAddr{waiter.address};
    call.expected = static_cast<std::uint32_t>(waiter.value);
    call.is_private = (waiter.flags & FUTEX_PRIVATE_FLAG) != 0;
    call.is_bitset = true;
    call.has_timeout = context.arg(3) != 0;
    read_word(context, call, wait);
  }
  set_deadline(context, context.pointer(3), true, context.int_arg(4), wait);
  return wait;
}

}  // namespace stucktrace::engine
