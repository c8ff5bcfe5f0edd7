#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <vector>

#include "syscalls/table.h"
#include "tracer/base/result.h"

namespace stucktrace::kernel {

// A filter that stops a tracee at chosen calls alone (seccomp(2), SECCOMP_RET_TRACE); all others
// run at native speed. It can be installed only by the task itself, before it executes the
// command, is inherited by everything it makes, and can never be taken away again.

// A condition on one argument; a rule matches if all its conditions hold.
struct ArgCondition {
  unsigned index = 0;  // 0..5
  // (argument & mask) == value. The kernel compares 64 bits: mask what the callee reads as an int.
  std::uint64_t mask = ~std::uint64_t{0};
  std::uint64_t value = 0;
  bool differs = false;  // != in place of ==; the mask is not applied then
};

struct FilterRule {
  syscalls::Sys id = syscalls::Sys::kUnknown;
  std::vector<ArgCondition> conditions;  // none: every call
};

using FilterProgram = std::vector<sock_filter>;

// What the filter's stops carry as SECCOMP_RET_DATA, by which they are told from those of a filter
// of the tracee's own.
inline constexpr std::uint16_t kFilterMark = 0x7374;

// Calls of another ABI than the tool's own (i386, x32) stop always. Errors: kSystem (out of
// memory), kUnsupported (a rule the library cannot express).
base::Result<FilterProgram> build_filter(const std::vector<FilterRule>& rules);

// In the task to be filtered. Async-signal-safe. 0, or errno: ENOSYS and EINVAL where the kernel
// has no filters. Without CAP_SYS_ADMIN this sets no_new_privs (prctl(2)), which the kernel
// demands.
int install_filter(const FilterProgram& program);

}  // namespace stucktrace::kernel
