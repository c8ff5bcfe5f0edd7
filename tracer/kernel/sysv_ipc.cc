#include "tracer/kernel/sysv_ipc.h"

#include <sys/msg.h>
#include <sys/sem.h>
#include <unistd.h>

#include <ctime>

namespace stucktrace::kernel {

base::Result<SemaphoreState> semaphore_state(int set, int number) {
  const int value = ::semctl(set, number, GETVAL);
  if (value < 0) return base::system_error("semctl GETVAL", base::Errno::last());
  const int waiting = ::semctl(set, number, GETNCNT);
  if (waiting < 0) return base::system_error("semctl GETNCNT", base::Errno::last());
  const int last = ::semctl(set, number, GETPID);
  if (last < 0) return base::system_error("semctl GETPID", base::Errno::last());
  semid_ds set_state{};
  union {  // the caller has to define it, semctl(2)
    int value;
    semid_ds* buffer;
  } argument{.buffer = &set_state};
  if (::semctl(set, 0, IPC_STAT, argument) < 0) {
    return base::system_error("semctl IPC_STAT", base::Errno::last());
  }
  return SemaphoreState{value, waiting, base::Pid{last}, std::chrono::seconds{set_state.sem_otime}};
}

base::Result<QueueState> queue_state(int queue) {
  msqid_ds info{};
  if (::msgctl(queue, IPC_STAT, &info) != 0) {
    return base::system_error("msgctl IPC_STAT", base::Errno::last());
  }
  return QueueState{info.msg_qnum,
                    info.msg_qbytes,
                    base::Pid{info.msg_lspid},
                    base::Pid{info.msg_lrpid},
                    std::chrono::seconds{info.msg_stime},
                    std::chrono::seconds{info.msg_rtime}};
}

std::optional<base::Nanoseconds> wall_time_of(std::uint64_t start_ticks) {
  timespec wall{}, boot{};
  const long per_second = ::sysconf(_SC_CLK_TCK);
  if (per_second <= 0 || ::clock_gettime(CLOCK_REALTIME, &wall) != 0 ||
      ::clock_gettime(CLOCK_BOOTTIME, &boot) != 0) {
    return std::nullopt;
  }
  const auto since = [](const timespec& time) {
    return std::chrono::seconds{time.tv_sec} + base::Nanoseconds{time.tv_nsec};
  };
  const std::uint64_t seconds = start_ticks / static_cast<std::uint64_t>(per_second);
  constexpr std::uint64_t kMostSeconds = 1ULL << 32U;
  if (seconds > kMostSeconds) return std::nullopt;
  return since(wall) - since(boot) + std::chrono::seconds{static_cast<std::int64_t>(seconds)};
}

}  // namespace stucktrace::kernel
