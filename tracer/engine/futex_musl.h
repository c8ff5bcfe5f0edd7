#pragma once

#include <functional>
#include <optional>

#include "tracer/engine/futex_roles.h"

namespace stucktrace::engine {

// What a futex word belongs to in a program of musl (1.1.20 and later, 64-bit): the state of the
// thread that a join waits for, or a mutex that keeps its owner (recursive, error-checking and
// robust ones; a normal one holds no name). nullopt where a field does not agree.
std::optional<FutexRole> find_musl_role(const FutexCall& call, const syscalls::RemoteMemory& memory,
                                        const std::function<bool(std::int32_t)>& is_live_thread);

}  // namespace stucktrace::engine
