#include "tracer/kernel/brief_stop.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <ctime>
#include <optional>

#include "tracer/kernel/ptrace_ops.h"
#include "tracer/kernel/stop.h"

namespace stucktrace::kernel {
namespace {

constexpr const char* kDoing = "stopping a thread for its stack";
constexpr std::chrono::milliseconds kPatience{200};

// Its next stop. A thread that computes takes the request at once; one in an uninterruptible sleep
// takes it at the end of that, for which nobody should have to wait.
base::Result<WaitStatus> stop_of(base::Tid tid) {
  const auto until = std::chrono::steady_clock::now() + kPatience;
  for (;;) {
    int raw = 0;
    const pid_t got = ::waitpid(tid.value(), &raw, __WALL | WNOHANG);
    if (got == tid.value()) return WaitStatus{raw};
    if (got < 0 && errno != EINTR) return base::system_error(kDoing, base::Errno::last(), tid);
    if (std::chrono::steady_clock::now() >= until) {
      return base::system_error(kDoing, base::Errno{ETIMEDOUT}, tid);
    }
    constexpr timespec kNap{0, 20'000};
    ::nanosleep(&kNap, nullptr);
  }
}

}  // namespace

base::Result<void> with_stopped(base::Tid tid,
                                const std::function<void(const StandingRegisters&)>& look) {
  if (auto seized = seize(tid); !seized) return seized;
  // If it has ended meanwhile its end is to be taken: an execve(2) of another thread waits for
  // that.
  static_cast<void>(interrupt(tid));
  const auto status = stop_of(tid);
  if (!status) return base::Failure{status.error()};
  if (!status->stopped()) return base::system_error(kDoing, base::Errno{ESRCH}, tid);
  Stopped stopped{tid};
  const auto registers = standing_registers(stopped);
  if (registers) look(*registers);
  const Stop stop = classify(*status, TraceStyle::kSeize, SiginfoAnswer::kNotAsked);
  const auto* delivery = std::get_if<SignalDelivery>(&stop);
  const auto left = detach(std::move(stopped), delivery != nullptr ? delivery->signo : 0);
  if (!registers) return base::Failure{registers.error()};
  return left;
}

}  // namespace stucktrace::kernel
