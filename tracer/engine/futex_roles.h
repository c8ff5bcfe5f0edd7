#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "syscalls/memory.h"
#include "tracer/base/ids.h"
#include "tracer/model/snapshot.h"

namespace stucktrace::engine {

// What a futex word belongs to, read from the memory around it. Layouts are the C library's ABI;
// each is believed only where every field that must agree does, since the word may belong to
// anything.
struct FutexRole {
  model::OnFutex::Role role = model::OnFutex::Role::kUnknown;
  std::optional<std::int32_t> owner;  // as the writer's pid namespace numbers it; may be dead
};

struct FutexCall {
  base::RemoteAddr address;
  std::uint32_t word = 0;      // what is there now
  std::uint32_t expected = 0;  // the value the caller sleeps on
  bool is_pi = false;          // FUTEX_LOCK_PI and its kin
  bool is_private = true;      // the flag of the call, not the mapping
  bool is_bitset = false;      // FUTEX_WAIT_BITSET
  bool has_timeout = false;
};

// `is_live_thread` says whether a tid is a live thread of the waiter's process.
FutexRole find_futex_role(const FutexCall& call, const syscalls::RemoteMemory& memory,
                          const std::function<bool(std::int32_t)>& is_live_thread);

// The owner word of the priority-inheriting mutex at `address`, if every field there agrees that it
// is one and is held; the number is as the owner's pid namespace has it.
std::optional<std::int32_t> pi_mutex_owner(const syscalls::RemoteMemory& memory,
                                           base::RemoteAddr address);

}  // namespace stucktrace::engine
