#pragma once

#include <string>
#include <vector>

#include "tracer/base/ids.h"

namespace stucktrace::kernel {

// Whether a process can be traced and looked at by this process, found out without touching it: one
// cause and one way out, where the kernel itself would only say EPERM.
struct PreflightReport {
  bool exists = true;     // there is a process of that number, alive
  bool can_trace = true;  // ptrace will be granted, as far as can be told beforehand
  bool can_look = true;   // at least the world-readable part of /proc
  std::string cause;      // "" when all is well; one clause without a full stop
  std::string remedy;     // "" where there is none
  std::vector<std::string> facts;  // what was found out, for doctor
};

PreflightReport check_process(base::Pid pid);
// Without a process: what this user may trace on this machine.
PreflightReport check_machine();

}  // namespace stucktrace::kernel
