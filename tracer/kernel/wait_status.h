#pragma once

#include <string>

namespace stucktrace::kernel {

// The status word of wait4(2) with its ptrace(2) extensions; goes no further than classify().
class WaitStatus {
 public:
  constexpr WaitStatus() = default;
  constexpr explicit WaitStatus(int raw) : raw_(raw) {}

  constexpr int raw() const { return raw_; }
  constexpr bool exited() const { return (raw_ & 0x7f) == 0; }
  constexpr bool stopped() const { return (raw_ & 0xff) == 0x7f; }
  constexpr bool continued() const { return raw_ == 0xffff; }
  constexpr bool signaled() const { return !exited() && !continued() && (raw_ & 0x7f) != 0x7f; }
  constexpr int exit_status() const { return (raw_ >> 8) & 0xff; }
  constexpr int term_signal() const { return raw_ & 0x7f; }
  constexpr bool core_dumped() const { return (raw_ & 0x80) != 0; }
  // Of a stop; 0x80 is set in it for syscall-stops under PTRACE_O_TRACESYSGOOD.
  constexpr int stop_signal() const { return (raw_ >> 8) & 0xff; }
  // PTRACE_EVENT_*, 0 for none.
  constexpr int event() const { return raw_ >> 16; }

  // "stopped by SIGTRAP, event 3 (raw 0x3057f)": for messages.
  std::string describe() const;

 private:
  int raw_ = 0;
};

}  // namespace stucktrace::kernel
