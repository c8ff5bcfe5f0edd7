#pragma once

#include <optional>
#include <span>
#include <string>

#include "syscalls/wire.h"
#include "tracer/engine/wait_reader.h"

namespace stucktrace::engine {

// One blocked call, for the families of wait readers (wait_*.cc).
struct WaitContext {
  const Surroundings& around;
  const ProcessView& process;
  base::Tid tid;
  const ThreadSample& thread;
  const syscalls::RemoteMemory& memory;
  syscalls::RawCall call;
  syscalls::Sys id = syscalls::Sys::kUnknown;

  std::uint64_t arg(std::size_t index) const { return call.args[index]; }
  int int_arg(std::size_t index) const { return static_cast<int>(call.args[index]); }
  base::RemoteAddr pointer(std::size_t index) const { return base::RemoteAddr{call.args[index]}; }
  syscalls::Layout layout() const { return syscalls::layout_of(call); }
};

// ---- families; each gives the whole Wait of a call that is its own -----------------------------

model::Wait read_fd_call(const WaitContext& context, int fd, model::FdMode direction);
model::Wait read_splice(const WaitContext& context, int from, int to);
model::Wait read_accept(const WaitContext& context);
model::Wait read_connect(const WaitContext& context);
model::Wait read_open(const WaitContext& context);
model::Wait read_poll(const WaitContext& context);
model::Wait read_select(const WaitContext& context);
model::Wait read_epoll(const WaitContext& context);
model::Wait read_futex(const WaitContext& context);
model::Wait read_futex_vector(const WaitContext& context);
model::Wait read_child_wait(const WaitContext& context);
// nullopt: a clone that does not wait for its child.
std::optional<model::Wait> read_vfork(const WaitContext& context);
model::Wait read_flock(const WaitContext& context);
// nullopt: an fcntl that does not wait.
std::optional<model::Wait> read_fcntl_lock(const WaitContext& context);
model::Wait read_sysv_semaphore(const WaitContext& context);
model::Wait read_sysv_queue(const WaitContext& context);
model::Wait read_posix_queue(const WaitContext& context);
model::Wait read_sleep(const WaitContext& context);
model::Wait read_signal_wait(const WaitContext& context);

// ---- shared by the families --------------------------------------------------------------------

// The descriptor as the table had it, or read again now if it was not there yet.
std::optional<model::FdEntry> find_fd(const WaitContext& context, int fd);
// Adds what can make `entry` ready in that direction to a wait on several things. `depth` bounds
// epoll sets within epoll sets.
void add_readiness(const WaitContext& context, const model::FdEntry& entry, model::FdMode direction,
                   model::Wait& wait, int depth = 0);
// Adds the releasers beyond the other holders: remote peers, terminal users, new clients.
void add_outside(const WaitContext& context, const model::FdEntry& entry, model::Wait& wait);
// Adds the targets of an epoll instance.
void add_epoll_set(const WaitContext& context, int epoll_fd, model::Wait& wait, int depth);
void shorten_remaining(model::Wait& wait, base::Nanoseconds remaining);

// A struct timespec (or timeval, with microseconds) of the thread; nullopt: NULL or unreadable.
enum class TimeUnit : std::uint8_t { kNanoseconds, kMicroseconds };
std::optional<base::Nanoseconds> read_time(const WaitContext& context, base::RemoteAddr address,
                                           TimeUnit unit = TimeUnit::kNanoseconds);
// Remaining time to an absolute deadline on that clock; nullopt for clocks we cannot compare with.
std::optional<base::Nanoseconds> time_to(const WaitContext& context, int clock_id,
                                         base::Nanoseconds deadline);
void set_millisecond_timeout(model::Wait& wait, int milliseconds);  // negative = none

model::Wait unknown_wait(model::WaitKind kind, std::string because);

// A pid or tid as the thread's own pid namespace numbers it, in ours; nullopt if it means none of
// the process's live threads.
std::optional<base::Tid> own_thread(const ProcessView& process, std::int32_t inner_tid);

}  // namespace stucktrace::engine
