#include "tracer/engine/parked_locks.h"

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "tracer/engine/futex_roles.h"

namespace stucktrace::engine {
namespace {

using model::OnFutex;

// The frames between the call and the caller of pthread_mutex_lock() are some hundred bytes.
constexpr std::size_t kReach = 1024;
constexpr std::size_t kInnermost = 6;

OnFutex* parked_wait(model::Thread& thread) {
  if (!thread.syscall || thread.wait.timeout || thread.wait.on.size() != 1) return nullptr;
  auto* futex = std::get_if<OnFutex>(&thread.wait.on.front());
  if (futex == nullptr || futex->role != OnFutex::Role::kUnknown || !futex->is_private) {
    return nullptr;
  }
  const std::uint64_t stack = thread.syscall->stack_pointer;
  const std::uint64_t address = futex->address.value();
  const bool on_own_stack = address >= stack && address - stack < kReach;
  return on_own_stack && futex->word && *futex->word == 0 ? futex : nullptr;
}

bool is_locking(const model::Thread& thread) {
  const auto innermost = std::span{thread.stack}.first(std::min(thread.stack.size(), kInnermost));
  return std::ranges::any_of(innermost, [](const model::NativeFrame& frame) {
    return frame.function.ends_with("pthread_mutex_lock") ||
           frame.function.ends_with("pthread_mutex_lock_full");
  });
}

struct Candidate {
  base::RemoteAddr mutex;
  std::int32_t owner = 0;
};

// The mutexes that the frames point to. One's own is there only if it is the one asked for again.
std::optional<Candidate> only_mutex(const model::Thread& thread,
                                    const syscalls::RemoteMemory& memory) {
  std::array<std::uint64_t, kReach / sizeof(std::uint64_t)> words{};
  const base::RemoteAddr start{thread.syscall->stack_pointer};
  const std::size_t got =
      memory.read(start, std::as_writable_bytes(std::span{words})) / sizeof words[0];
  std::set<std::uint64_t> pointers{words.begin(), words.begin() + static_cast<std::ptrdiff_t>(got)};
  std::optional<Candidate> own, other;
  std::size_t others = 0;
  for (const std::uint64_t pointer : pointers) {
    const auto owner = pi_mutex_owner(memory, base::RemoteAddr{pointer});
    if (!owner) continue;
    if (*owner == thread.tid.value()) {
      own = Candidate{base::RemoteAddr{pointer}, *owner};
    } else {
      other = Candidate{base::RemoteAddr{pointer}, *owner};
      ++others;
    }
  }
  if (others == 1) return other;
  return others == 0 ? own : std::nullopt;
}

}  // namespace

void name_parked_locks(model::Process& process, const syscalls::RemoteMemory& memory) {
  if (process.ns_pids.size() > 1) return;
  for (model::Thread& thread : process.threads) {
    OnFutex* futex = parked_wait(thread);
    if (futex == nullptr || !is_locking(thread)) continue;
    const auto found = only_mutex(thread, memory);
    if (!found) continue;
    std::uint32_t word = 0;
    if (!memory.read_value(found->mutex, word)) continue;
    futex->role = OnFutex::Role::kPiMutex;
    futex->address = found->mutex;
    futex->futex.inode = found->mutex.value();
    futex->word = word;
    futex->owner = base::Tid{found->owner};
    futex->owner_alive = std::ranges::any_of(process.threads, [&](const model::Thread& candidate) {
      return candidate.tid == *futex->owner && candidate.state != 'Z' && candidate.state != 'X';
    });
  }
}

}  // namespace stucktrace::engine
