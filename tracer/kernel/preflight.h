#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tracer/base/ids.h"
#include "tracer/kernel/procfs.h"

namespace stucktrace::kernel {

// Who asks: the credentials that ptrace(2) would be judged by.
struct Caller {
  base::Pid pid;
  std::uint32_t uid = 0;           // effective
  std::uint64_t capabilities = 0;  // effective set
  bool ptrace_filtered = false;    // a seccomp filter refuses ptrace altogether
  bool can_ptrace_anyone() const;  // CAP_SYS_PTRACE

  static Caller current();
};

struct PreflightReport {
  bool can_trace = false;  // an attach is expected to work
  bool can_look = false;   // descriptors can be read: `explain` is useful without tracing
  std::string cause;       // why it cannot be traced, one sentence; "" if it can
  std::string remedy;      // the one way out; "" if there is none
  struct Fact {
    std::string name;   // "ptrace_scope"
    std::string value;  // "1"
  };
  std::vector<Fact> facts;  // what the answer rests on, in fixed order
};

// May `pid` be traced, and if not, why? Reads /proc only; the kernel has the last word at the
// attach itself. One cause is named, the first that stands in the way.
PreflightReport preflight(const Procfs& procfs, base::Pid pid, const Caller& caller);
// Without a process in mind: may this caller launch and trace a child of its own, and what would
// hold for others?
PreflightReport preflight_machine(const Procfs& procfs, const Caller& caller);

}  // namespace stucktrace::kernel
