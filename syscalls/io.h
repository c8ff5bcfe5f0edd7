#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "syscalls/decode.h"
#include "syscalls/memory.h"
#include "syscalls/table.h"
#include "tracer/base/clock.h"

namespace stucktrace::syscalls {

// What a call does with descriptors and time, for the model and the diagnosis. All functions are
// pure, bounded, and answer nullopt / empty for what cannot be read; `memory` is the tracee's or
// what capture_enter kept of it.

// The call moves bytes out of the process through a descriptor or a queue: write and send families,
// sendfile, splice, tee, vmsplice, copy_file_range, mq_timedsend, msgsnd. (splice and its like are
// read-like too.)
bool is_write_like(Sys id);
// The call waits for or takes bytes or connections: read and recv families, accept, splice, tee,
// sendfile, copy_file_range, mq_timedreceive, msgrcv, getdents excepted (never waits).
bool is_read_like(Sys id);

// The descriptor a call works or waits on: read, write, sendmsg, accept, connect, ioctl, flock,
// fcntl, fsync, epoll_wait (the epoll descriptor), mq_timedsend, close ... nullopt for calls
// without one, and for a negative number. Calls with two give the first (see io_fds).
std::optional<int> io_fd(const RawCall& call);

struct PolledFd {
  int fd = -1;
  bool read = false;   // waits for data, end of file, a connection or an error
  bool write = false;  // waits for room
  bool operator==(const PolledFd&) const = default;
};

// Every descriptor the call itself moves data through, with the direction: one for read or write,
// two for splice, tee, sendfile and copy_file_range. Empty for other calls (poll: polled_fds).
std::vector<PolledFd> io_fds(const RawCall& call);

// What poll, ppoll, select and pselect6 wait for, in the order of the call; negative descriptors
// (ignored by the kernel) are left out, exceptional conditions (POLLPRI, exceptfds) count as read.
// Only meaningful on memory of the entry: select overwrites its sets. Not epoll (see fdinfo).
std::vector<PolledFd> polled_fds(const RawCall& call, const RemoteMemory& memory);

struct CallTimeout {
  // How long, or until when; nullopt: no limit, the call waits forever.
  std::optional<base::Nanoseconds> value;
  // CLOCK_* number where `value` is a point in time on that clock; nullopt where it is a duration
  // from the call's start.
  std::optional<int> absolute_clock;
  bool operator==(const CallTimeout&) const = default;
};

// The time-out a caller gave: poll, ppoll, select, pselect6, epoll_wait, epoll_pwait, epoll_pwait2,
// nanosleep, clock_nanosleep, futex (WAIT relative; WAIT_BITSET, LOCK_PI, WAIT_REQUEUE_PI
// absolute), futex_wait, futex_waitv (absolute), semtimedop, rt_sigtimedwait, recvmmsg,
// io_getevents, io_pgetevents, mq_timedsend, mq_timedreceive (absolute, realtime). nullopt: the
// call has no time-out parameter, or it could not be read. Negative poll time-outs mean forever;
// values beyond Nanoseconds saturate.
std::optional<CallTimeout> call_timeout(const RawCall& call, const RemoteMemory& memory);

// The call asks and goes on, whatever the answer: wait4/waitid WNOHANG, poll/select/epoll with a
// zero time-out, flock LOCK_NB, fcntl F_SETLK, futex TRYLOCK, MSG_DONTWAIT, IPC_NOWAIT,
// rt_sigtimedwait with a zero time-out, RWF_NOWAIT, SPLICE_F_NONBLOCK. O_NONBLOCK of the open file
// is not known here.
bool is_nonblocking_probe(const RawCall& call, const RemoteMemory& memory);

// The bytes a write, pwrite, writev, pwritev, sendto, sendmsg or sendmmsg put out, at most `result`
// of them and as far as they can be read; nullopt for other calls, a failed call, or when nothing
// of it was captured.
std::optional<std::string> written_bytes(const RawCall& call, std::int64_t result,
                                         const RemoteMemory& memory);

}  // namespace stucktrace::syscalls
