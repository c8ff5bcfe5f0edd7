#include "tracer/engine/launch_filter.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>

#include <algorithm>
#include <initializer_list>
#include <iterator>

#include "syscalls/table.h"
#include "tracer/kernel/ptrace_ops.h"

namespace stucktrace::engine {

using kernel::ArgCondition;
using syscalls::Sys;

namespace {

constexpr std::uint64_t kInt = 0xffffffff;

// Their third argument says whether it becomes code.
constexpr Sys kCodeMappers[] = {Sys::mmap, Sys::mprotect, Sys::pkey_mprotect};

void add(LaunchFilter& filter, Sys id, std::vector<ArgCondition> conditions = {}) {
  filter.rules.push_back({id, std::move(conditions)});
  filter.trace.add(id);
}

// A bit of the flags of open(2) that makes it one for writing.
void add_opens_for_writing(LaunchFilter& filter, Sys id, unsigned flags_index) {
  for (const unsigned access : {static_cast<unsigned>(O_WRONLY), static_cast<unsigned>(O_RDWR)}) {
    add(filter, id, {{.index = flags_index, .mask = O_ACCMODE, .value = access}});
  }
}

// A task that is not traced could not make the calls of the filter; not an event by itself. The
// flags of clone3(2) lie in memory, where no filter can look: it always stops.
void add_untraced_clone(LaunchFilter& filter) {
  if (!filter.trace.contains(Sys::clone)) {
    filter.rules.push_back(
        {Sys::clone, {{.index = 0, .mask = CLONE_UNTRACED, .value = CLONE_UNTRACED}}});
  }
  if (!filter.trace.contains(Sys::clone3)) filter.rules.push_back({Sys::clone3, {}});
}

// A tracee that wants to trace is given what it wants; not an event by itself.
void add_ptrace(LaunchFilter& filter) {
  for (const std::uint64_t request :
       {kernel::kRequestTraceMe, kernel::kRequestAttach, kernel::kRequestSeize}) {
    filter.rules.push_back({Sys::ptrace, {{.index = 0, .value = request}}});
  }
}

}  // namespace

LaunchFilter diagnosis_filter() {
  LaunchFilter filter;
  for (const Sys id : {Sys::wait4,
                       Sys::waitid,
                       Sys::exit_group,
                       Sys::kill,
                       Sys::tkill,
                       Sys::tgkill,
                       Sys::pidfd_send_signal,
                       Sys::rt_sigqueueinfo,
                       Sys::rt_tgsigqueueinfo,
                       Sys::pipe,
                       Sys::pipe2,
                       Sys::socketpair,
                       Sys::socket,
                       Sys::dup,
                       Sys::dup2,
                       Sys::dup3,
                       Sys::connect,
                       Sys::accept,
                       Sys::accept4,
                       Sys::bind,
                       Sys::listen,
                       Sys::select,
                       Sys::pselect6,
                       Sys::ppoll,
                       Sys::nanosleep,
                       Sys::clock_nanosleep,
                       Sys::creat,
                       Sys::unlink,
                       Sys::unlinkat,
                       Sys::rename,
                       Sys::renameat,
                       Sys::renameat2,
                       Sys::mkdir,
                       Sys::mkdirat,
                       Sys::rmdir,
                       Sys::link,
                       Sys::linkat,
                       Sys::symlink,
                       Sys::symlinkat,
                       Sys::mknod,
                       Sys::mknodat,
                       Sys::truncate,
                       Sys::setsid,
                       Sys::setpgid}) {
    add(filter, id);
  }
  // A look that does not wait tells nothing.
  add(filter, Sys::poll, {{.index = 2, .value = 0, .differs = true}});
  for (const Sys id : {Sys::write, Sys::writev}) {
    for (const std::uint64_t fd : {1U, 2U}) {
      add(filter, id, {{.index = 0, .mask = kInt, .value = fd}});
    }
  }
  add_opens_for_writing(filter, Sys::open, 1);
  add_opens_for_writing(filter, Sys::openat, 2);
  add_ptrace(filter);
  add_untraced_clone(filter);
  return filter;
}

LaunchFilter filter_for(const syscalls::TraceSet& set) {
  LaunchFilter filter;
  filter.trace = set;
  for (const syscalls::SyscallRow& row : syscalls::all_rows(syscalls::kNativeAbi)) {
    if (set.contains(row.id)) filter.rules.push_back({row.id, {}});
  }
  if (!set.contains(Sys::ptrace)) add_ptrace(filter);
  add_untraced_clone(filter);
  return filter;
}

void add_stack_calls(LaunchFilter& filter, const syscalls::TraceSet& set) {
  // Every call of the set, whatever conditions stood for it.
  std::erase_if(filter.rules,
                [&](const kernel::FilterRule& rule) { return set.contains(rule.id); });
  for (const syscalls::SyscallRow& row : syscalls::all_rows(syscalls::kNativeAbi)) {
    if (set.contains(row.id)) add(filter, row.id);
  }
  for (const Sys id : kCodeMappers) {
    if (set.contains(id) || filter.trace.contains(id)) continue;
    filter.rules.push_back({id, {{.index = 2, .mask = PROT_EXEC, .value = PROT_EXEC}}});
  }
}

bool maps_code(const syscalls::RawCall& call) {
  const Sys id = syscalls::sys_of(call.abi, call.number);
  return std::ranges::find(kCodeMappers, id) != std::end(kCodeMappers) &&
         (call.args[2] & PROT_EXEC) != 0;
}

}  // namespace stucktrace::engine
