#pragma once

#include <array>
#include <csignal>
#include <cstdint>
#include <optional>
#include <vector>

#include "tracer/kernel/ptrace_ops.h"

namespace stucktrace::kernel {

// Has a tracee call the kernel in its own name, for what only the task itself may do.
//
// The tracee must have marked syscall-stops, be a program of the tool's own ABI, and stand in a
// seccomp stop or one inside signal handling (PTRACE_EVENT_STOP, a group-stop, or the delivery of a
// signal that is not going to be delivered). While the object lives its signals are blocked and
// each call() runs it from stop to stop; a SIGSTOP that comes meanwhile is sent again at the end. A
// tracee in a group-stop has left it then, though its process is stopped still. Errors: kGone (it
// was killed: its exit is left to be reported), kUnsupported (no instruction to make a call with,
// another ABI).
class RemoteCaller {
 public:
  static base::Result<RemoteCaller> begin(const Stopped& tracee);
  // Whatever end() has not done is left undone: the tracee must be killed or is gone.
  ~RemoteCaller() = default;
  RemoteCaller(RemoteCaller&&) = default;
  RemoteCaller& operator=(RemoteCaller&&) = delete;
  RemoteCaller(const RemoteCaller&) = delete;
  RemoteCaller& operator=(const RemoteCaller&) = delete;

  // What the call returned: a negative errno where it failed.
  base::Result<std::int64_t> call(std::int64_t number, const std::array<std::uint64_t, 6>& args);
  // Registers and signal mask as they were. The call at whose entry the tracee stood, or that the
  // kernel was going to restart, begins anew when the tracee goes on.
  base::Result<void> end();

 private:
  explicit RemoteCaller(base::Tid tid) : tid_(tid) {}
  base::Result<void> run_to_exit();
  base::Result<int> next_stop() const;

  base::Tid tid_;
  std::vector<std::byte> registers_;  // those to be restored
  std::uint64_t instruction_ = 0;     // address of one that makes a call
  std::uint64_t signal_mask_ = 0;
  bool owed_stop_ = false;  // a SIGSTOP that was taken from it
};

}  // namespace stucktrace::kernel
