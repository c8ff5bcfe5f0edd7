#pragma once

#include <optional>

#include "tracer/base/clock.h"
#include "tracer/base/ids.h"
#include "tracer/model/known.h"
#include "tracer/model/resource.h"

namespace stucktrace::kernel {

// What one end of a pipe, fifo or socket says of itself now.
struct EndState {
  model::Known<std::uint64_t> capacity = model::unknown("not asked");  // pipes: F_GETPIPE_SZ
  model::Known<std::uint64_t> queued = model::unknown("not asked");    // bytes to be read from here
  model::Known<bool> writable = model::unknown("not asked");           // POLLOUT or POLLERR
  model::Known<bool> readable = model::unknown("not asked");           // POLLIN or POLLHUP
};

// Copies descriptor `fd` of the process for some microseconds (pidfd.h), asks, closes it. Message
// queues are counted in messages. Everything is unknown, with the reason, where the copy is refused
// or the descriptor no longer is `expected`. `tid` names a live thread where the main one has
// ended.
EndState probe_end(base::Pid pid, base::Tid tid, int fd, const model::ResourceId& expected);

// How long a blocking call on the socket waits at most (SO_RCVTIMEO, SO_SNDTIMEO, and for what is
// sent TCP_USER_TIMEOUT; socket(7), tcp(7)); nullopt: for ever, or not known. As probe_end().
struct SocketLimits {
  std::optional<base::Nanoseconds> receive;
  std::optional<base::Nanoseconds> send;
};
SocketLimits socket_limits(base::Pid pid, base::Tid tid, int fd, const model::ResourceId& expected);

}  // namespace stucktrace::kernel
