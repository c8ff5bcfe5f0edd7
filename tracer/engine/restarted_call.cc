#include "tracer/engine/restarted_call.h"

#include <string_view>

#include "syscalls/table.h"

namespace stucktrace::engine {
namespace {

using model::WaitKind;
using syscalls::Sys;

// "" where the wait does not tell.
std::string_view restarted(const model::Thread& thread) {
  switch (thread.wait.kind) {
    case WaitKind::kMultiplex:
      return "poll";
    case WaitKind::kFutex:
    case WaitKind::kThreadJoin:
      return "futex";
    case WaitKind::kSleep: {
      // clock_nanosleep begins with a clock number, nanosleep with a pointer.
      constexpr std::uint64_t kFirstPage = 4096;
      return thread.syscall->call.args[0] < kFirstPage ? "clock_nanosleep" : "nanosleep";
    }
    default:
      return {};
  }
}

}  // namespace

void name_restarted_calls(model::Snapshot& snapshot) {
  for (model::Process& process : snapshot.processes) {
    for (model::Thread& thread : process.threads) {
      if (!thread.syscall) continue;
      syscalls::RawCall& call = thread.syscall->call;
      if (syscalls::sys_of(call.abi, call.number) != Sys::restart_syscall) continue;
      const std::string_view name = restarted(thread);
      const syscalls::SyscallRow* row = name.empty() ? nullptr : syscalls::find_row(call.abi, name);
      if (row == nullptr) continue;
      call.number = row->number;
      thread.call_text = std::string(name) + "() (restarted)";
    }
  }
}

}  // namespace stucktrace::engine
