#include "tracer/engine/futex_musl.h"

#include <cstddef>
#include <cstdint>

namespace stucktrace::engine {
namespace {

using Role = model::OnFutex::Role;

// musl's struct pthread, as far as it is laid out alike in all versions; a join sleeps on its
// detach_state.
struct ThreadHead {
  std::uint64_t self;  // its own address
  std::uint64_t dtv;
  std::uint64_t previous, next;  // all threads in a ring
};
struct ThreadState {
  std::int32_t tid;
  std::int32_t error;
  std::uint32_t detach_state;
};
// Between them: sysinfo and the canary, which was there twice up to 1.1.24.
constexpr std::uint64_t kStateOffsets[] = {48, 56};

std::optional<FutexRole> join_role(const FutexCall& call, const syscalls::RemoteMemory& memory,
                                   const std::function<bool(std::int32_t)>& is_live_thread) {
  constexpr std::uint32_t kExiting = 1, kJoinable = 2;
  if (call.word != call.expected || (call.word != kExiting && call.word != kJoinable)) return {};
  for (const std::uint64_t offset : kStateOffsets) {
    const std::uint64_t inside = offset + offsetof(ThreadState, detach_state);
    if (call.address.value() < inside) continue;
    const std::uint64_t thread = call.address.value() - inside;
    ThreadHead head{}, next{};
    ThreadState state{};
    if (memory.read_value(base::RemoteAddr{thread}, head) && head.self == thread &&
        memory.read_value(base::RemoteAddr{head.next}, next) && next.previous == thread &&
        memory.read_value(base::RemoteAddr{thread + offset}, state) && is_live_thread(state.tid)) {
      return FutexRole{Role::kJoin, state.tid};
    }
  }
  return {};
}

// musl's pthread_mutex_t on 64-bit machines; the futex word is `lock`.
struct MutexLayout {
  std::uint32_t type;
  std::uint32_t lock;
  std::int32_t waiters;
  std::uint32_t pad;
  std::uint64_t unused;
  std::uint64_t previous, next;  // of those that its owner holds
};
static_assert(sizeof(MutexLayout) == 40);

std::optional<FutexRole> mutex_role(const FutexCall& call, const syscalls::RemoteMemory& memory,
                                    const std::function<bool(std::int32_t)>& is_live_thread) {
  constexpr std::uint32_t kWaited = 0x80000000, kOwner = 0x3fffffff;
  constexpr std::uint32_t kTypeMask = 3, kRobust = 4, kShared = 128;
  constexpr std::int32_t kManyWaiters = 1 << 20;
  if (call.word != call.expected || (call.word & kWaited) == 0) return {};
  if (call.address.value() < offsetof(MutexLayout, lock)) return {};
  MutexLayout mutex{};
  const base::RemoteAddr start{call.address.value() - offsetof(MutexLayout, lock)};
  if (!memory.read_value(start, mutex) || mutex.lock != call.word) return {};
  if ((mutex.type & ~(kTypeMask | kRobust | kShared)) != 0) return {};
  const bool names_owner = (mutex.type & (kTypeMask | kRobust)) != 0;
  if (!names_owner || ((mutex.type & kShared) == 0) != call.is_private) return {};
  if (mutex.waiters <= 0 || mutex.waiters > kManyWaiters) return {};
  if (mutex.previous == 0 || mutex.next == 0) return {};
  const auto owner = static_cast<std::int32_t>(mutex.lock & kOwner);
  if (!is_live_thread(owner)) return {};
  return FutexRole{Role::kMutex, owner};
}

}  // namespace

std::optional<FutexRole> find_musl_role(const FutexCall& call, const syscalls::RemoteMemory& memory,
                                        const std::function<bool(std::int32_t)>& is_live_thread) {
  if (const auto join = join_role(call, memory, is_live_thread)) return join;
  return mutex_role(call, memory, is_live_thread);
}

}  // namespace stucktrace::engine
