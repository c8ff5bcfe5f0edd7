#include "tracer/engine/futex_roles.h"

#include <linux/futex.h>

#include <cstddef>

#include "tracer/engine/futex_musl.h"

namespace stucktrace::engine {
namespace {

using Role = model::OnFutex::Role;

constexpr std::uint32_t kMaxTid = 1U << 22U;  // PID_MAX_LIMIT

// glibc's pthread_mutex_t on x86-64 as far as it matters; the futex word is `lock`.
struct MutexLayout {
  std::uint32_t lock;
  std::uint32_t count;
  std::int32_t owner;
  std::uint32_t users;
  std::uint32_t kind;
  std::int16_t spins;
  std::int16_t elision;
  std::uint64_t list_previous;
  std::uint64_t list_next;
};
static_assert(sizeof(MutexLayout) == 40);

constexpr std::uint32_t kMutexTypeMask = 3;  // normal, recursive, error-checking, adaptive
constexpr std::uint32_t kMutexRobust = 0x10;
constexpr std::uint32_t kMutexInherits = 0x20;  // PTHREAD_PRIO_INHERIT
constexpr std::uint32_t kMutexShared = 0x80;
constexpr std::uint32_t kMutexElision = 0x300;  // lock elision tried or refused

bool plausible_owner(std::int32_t owner) {
  return owner > 0 && static_cast<std::uint32_t>(owner) < kMaxTid;
}

// Is this the word in glibc's descriptor of a thread (struct pthread) that holds its number? The
// head of the thread's list of robust mutexes comes right behind it, and in that a constant of the
// ABI: how far a mutex's word is from its link in the list (set_robust_list(2)).
bool is_in_thread_descriptor(base::RemoteAddr word, const syscalls::RemoteMemory& memory) {
  struct Wide {
    std::int32_t tid, unused;
    std::uint64_t robust_previous, first;
    std::int64_t word_offset;
  };
  struct Narrow {  // of 32-bit programs, whose list goes one way
    std::int32_t tid, unused;
    std::uint32_t first;
    std::int32_t word_offset;
  };
  constexpr std::int64_t kWideOffset = static_cast<std::int64_t>(offsetof(MutexLayout, lock)) -
                                       static_cast<std::int64_t>(offsetof(MutexLayout, list_next));
  constexpr std::int32_t kNarrowOffset = -20;
  Wide wide{};
  if (memory.read_value(word, wide) && wide.word_offset == kWideOffset) {
    return wide.robust_previous != 0 && wide.first != 0;
  }
  Narrow narrow{};
  return memory.read_value(word, narrow) && narrow.word_offset == kNarrowOffset &&
         narrow.first != 0;
}

std::optional<std::int32_t> mutex_owner(const FutexCall& call, const syscalls::RemoteMemory& memory,
                                        const std::function<bool(std::int32_t)>& is_live_thread) {
  MutexLayout mutex{};
  if (!memory.read_value(call.address, mutex)) return std::nullopt;
  constexpr std::uint32_t kKnownKinds =
      kMutexTypeMask | kMutexRobust | kMutexShared | kMutexElision;
  constexpr std::uint32_t kManyUsers = 1U << 20U;
  if ((mutex.kind & ~kKnownKinds) != 0 || !plausible_owner(mutex.owner)) return std::nullopt;
  if (mutex.users == 0 || mutex.users > kManyUsers) return std::nullopt;
  // The kind says what the call must look like: a shared mutex never sleeps privately.
  const bool robust = (mutex.kind & kMutexRobust) != 0;
  if (!robust && ((mutex.kind & kMutexShared) == 0) != call.is_private) return std::nullopt;
  if (robust) {
    // A robust mutex keeps the owner in the word itself, with a waiters bit.
    if ((mutex.lock & FUTEX_TID_MASK) != static_cast<std::uint32_t>(mutex.owner)) {
      return std::nullopt;
    }
    return mutex.owner;
  }
  // 2 = locked, somebody sleeps; only robust mutexes are linked into a list.
  constexpr std::uint32_t kContended = 2;
  if (mutex.lock != kContended || call.expected != kContended) return std::nullopt;
  if (mutex.list_previous != 0 || mutex.list_next != 0) return std::nullopt;
  // Three states of a word are many a lock's. Of one whose owner is no thread of ours every other
  // field must be as it is in a mutex that is held: by one user, once.
  const bool recursive = (mutex.kind & kMutexTypeMask) == 1;
  if (!is_live_thread(mutex.owner) &&
      (mutex.users != 1 || (mutex.count != 0) != recursive || mutex.elision != 0)) {
    return std::nullopt;
  }
  // A plain lock sleeps by FUTEX_WAIT, one with a time-out by FUTEX_WAIT_BITSET. Condition
  // variables and semaphores use the latter too, so there the owner must be beyond doubt.
  if (call.is_bitset && !(call.has_timeout && is_live_thread(mutex.owner))) return std::nullopt;
  return mutex.owner;
}

// glibc's pthread_rwlock_t (2.25 and later).
struct RwlockLayout {
  std::uint32_t readers;
  std::uint32_t writers;
  std::uint32_t write_phase_futex;
  std::uint32_t writers_futex;
  std::uint32_t pad[2];
  std::int32_t current_writer;
  std::int32_t shared;
};
static_assert(sizeof(RwlockLayout) == 32);

constexpr std::uint32_t kWritePhase = 1;   // PTHREAD_RWLOCK_WRPHASE in `readers`
constexpr std::uint32_t kWriteLocked = 2;  // PTHREAD_RWLOCK_WRLOCKED
constexpr std::uint32_t kReaderShift = 3;  // above the three flag bits
constexpr std::uint32_t kFutexUsed = 2;    // somebody sleeps on the futex

std::optional<FutexRole> rwlock_role(const FutexCall& call, const syscalls::RemoteMemory& memory,
                                     std::uint64_t offset,
                                     const std::function<bool(std::int32_t)>& is_live_thread) {
  if (call.address.value() < offset) return std::nullopt;
  RwlockLayout lock{};
  if (!memory.read_value(base::RemoteAddr{call.address.value() - offset}, lock)) {
    return std::nullopt;
  }
  constexpr std::uint32_t kManyWaiters = 1U << 20U;
  const bool sane =
      lock.pad[0] == 0 && lock.pad[1] == 0 && (lock.shared == 0 || lock.shared == 1) &&
      lock.writers < kManyWaiters && (lock.write_phase_futex & ~(kFutexUsed | 1U)) == 0 &&
      (lock.writers_futex & ~(kFutexUsed | 1U)) == 0 && (lock.shared == 0) == call.is_private;
  if (!sane || (lock.readers & kWriteLocked) == 0) return std::nullopt;
  if ((lock.readers & kWritePhase) != 0 && is_live_thread(lock.current_writer)) {
    return FutexRole{Role::kRwlockWriter, lock.current_writer};
  }
  // A writer that has its turn waits for readers, which leave no name.
  const std::uint32_t readers = lock.readers >> kReaderShift;
  if ((lock.readers & kWritePhase) == 0 && readers > 0 && readers < kManyWaiters &&
      lock.current_writer == 0) {
    return FutexRole{Role::kRwlockReader, std::nullopt};
  }
  return std::nullopt;
}

}  // namespace

FutexRole find_futex_role(const FutexCall& call, const syscalls::RemoteMemory& memory,
                          const std::function<bool(std::int32_t)>& is_live_thread) {
  if (call.is_pi) {
    const auto owner = static_cast<std::int32_t>(call.word & FUTEX_TID_MASK);
    return owner > 0 ? FutexRole{Role::kPiMutex, owner} : FutexRole{Role::kPiMutex, {}};
  }
  // The kernel clears the word of a thread at its exit and wakes as if it were shared, so a join
  // sleeps without the private flag, on the thread's own number (set_tid_address(2)).
  const auto as_tid = static_cast<std::int32_t>(call.word);
  if (!call.is_private && call.word == call.expected && is_live_thread(as_tid) &&
      is_in_thread_descriptor(call.address, memory)) {
    return {Role::kJoin, as_tid};
  }
  if (const auto musl = find_musl_role(call, memory, is_live_thread)) return *musl;
  if (const auto owner = mutex_owner(call, memory, is_live_thread)) return {Role::kMutex, owner};
  for (const std::uint64_t offset : {std::uint64_t{8}, std::uint64_t{12}}) {
    if (const auto role = rwlock_role(call, memory, offset, is_live_thread)) return *role;
  }
  return {};
}

std::optional<std::int32_t> pi_mutex_owner(const syscalls::RemoteMemory& memory,
                                           base::RemoteAddr address) {
  MutexLayout mutex{};
  constexpr std::uint64_t kAlignment = 8;
  if (address.value() == 0 || address.value() % kAlignment != 0) return std::nullopt;
  if (!memory.read_value(address, mutex)) return std::nullopt;
  constexpr std::uint32_t kKinds = kMutexTypeMask | kMutexRobust | kMutexInherits | kMutexShared;
  if ((mutex.kind & kMutexInherits) == 0 || (mutex.kind & ~kKinds) != 0) return std::nullopt;
  // glibc keeps the owner a second time beside the word the kernel goes by.
  const bool agrees = (mutex.lock & FUTEX_TID_MASK) == static_cast<std::uint32_t>(mutex.owner);
  if (!plausible_owner(mutex.owner) || !agrees || mutex.users == 0) return std::nullopt;
  return mutex.owner;
}

}  // namespace stucktrace::engine
