#pragma once

#include <vector>

#include "syscalls/decode.h"
#include "syscalls/trace_set.h"
#include "tracer/kernel/seccomp_filter.h"

namespace stucktrace::engine {

// What a launched command is stopped at when a filter does the choosing.
struct LaunchFilter {
  std::vector<kernel::FilterRule> rules;
  // The calls of the rules, conditions aside.
  syscalls::TraceSet trace = syscalls::TraceSet::none();
};

// What a diagnosis needs and costs next to nothing: lives of processes come as ptrace events by
// themselves; these are waits for children, sleeps and polls, what plumbs pipes and sockets, output
// to descriptors 1 and 2, signals sent, files changed. Reading, writing and locking are the bread
// and butter of a program: threads that stay in them are found by looking (CallWatch).
LaunchFilter diagnosis_filter();
// Exactly the calls of a set, all of them.
LaunchFilter filter_for(const syscalls::TraceSet& set);
// Adds every call of a set that stacks are wanted at, and those that map code: a stack is read by
// the mappings, which have changed then. The latter are no events by that.
void add_stack_calls(LaunchFilter& filter, const syscalls::TraceSet& set);
bool maps_code(const syscalls::RawCall& call);

}  // namespace stucktrace::engine
