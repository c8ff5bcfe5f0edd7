#include "syscalls/io.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/futex.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "tests/unit/syscalls/fake_tracee.h"

namespace stucktrace::syscalls::testing {
namespace {

using base::Nanoseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(Io, DescriptorOfACall) {
  for (const char* name : {"read", "write", "sendmsg", "accept", "connect", "ioctl", "flock",
                           "fcntl", "fsync", "epoll_wait", "mq_timedsend", "recvmmsg", "splice"}) {
    EXPECT_EQ(io_fd(make_call(name, {7})), 7) << name;
  }
  for (const char* name : {"poll", "futex", "openat", "wait4", "semop", "mmap", "getpid"}) {
    EXPECT_EQ(io_fd(make_call(name, {7})), std::nullopt) << name;
  }
  EXPECT_EQ(io_fd(make_call("read", {minus(1)})), std::nullopt);
  EXPECT_EQ(io_fd(RawCall{}), std::nullopt);
}

TEST(Io, Directions) {
  EXPECT_EQ(io_fds(make_call("read", {3})), (std::vector<PolledFd>{{3, true, false}}));
  EXPECT_EQ(io_fds(make_call("sendmsg", {3})), (std::vector<PolledFd>{{3, false, true}}));
  EXPECT_EQ(io_fds(make_call("splice", {3, 0, 4})),
            (std::vector<PolledFd>{{3, true, false}, {4, false, true}}));
  EXPECT_EQ(io_fds(make_call("tee", {3, 4})),
            (std::vector<PolledFd>{{3, true, false}, {4, false, true}}));
  EXPECT_EQ(io_fds(make_call("sendfile", {4, 3})),
            (std::vector<PolledFd>{{3, true, false}, {4, false, true}}));
  EXPECT_TRUE(io_fds(make_call("msgsnd", {3})).empty());
  EXPECT_TRUE(io_fds(make_call("poll", {3})).empty());
  EXPECT_TRUE(is_write_like(Sys::writev));
  EXPECT_FALSE(is_write_like(Sys::read));
  EXPECT_TRUE(is_read_like(Sys::accept4));
  EXPECT_FALSE(is_read_like(Sys::kUnknown));
}

TEST(Io, PolledDescriptors) {
  FakeTracee memory;
  const std::uint64_t fds = memory.put_array<pollfd>(
      {{3, POLLIN, 0}, {-1, POLLIN, 0}, {4, POLLOUT, 0}, {5, POLLIN | POLLOUT, 0}, {6, 0, 0}});
  EXPECT_EQ(polled_fds(make_call("poll", {fds, 5, 0}), memory),
            (std::vector<PolledFd>{
                {3, true, false}, {4, false, true}, {5, true, true}, {6, true, false}}));
  EXPECT_TRUE(polled_fds(make_call("poll", {kBadAddress, 5, 0}), memory).empty());
  EXPECT_TRUE(polled_fds(make_call("poll", {0, 0, 100}), memory).empty());
  EXPECT_EQ(polled_fds(make_call("ppoll", {fds, ~0U}), memory).size(), 4U);
}

TEST(Io, SelectedDescriptors) {
  FakeTracee memory;
  const std::uint64_t readable = memory.put_array<std::uint64_t>({0b1000, 0b1});
  const std::uint64_t writable = memory.put_array<std::uint64_t>({0b11000, 0});
  const std::uint64_t special = memory.put_array<std::uint64_t>({0b100000, 0});
  EXPECT_EQ(polled_fds(make_call("select", {65, readable, writable, special, 0}), memory),
            (std::vector<PolledFd>{
                {3, true, true}, {4, false, true}, {5, true, false}, {64, true, false}}));
  EXPECT_EQ(polled_fds(make_call("pselect6", {4, readable, 0, 0, 0}), memory),
            (std::vector<PolledFd>{{3, true, false}}));
  EXPECT_TRUE(polled_fds(make_call("select", {minus(3), readable, 0, 0, 0}), memory).empty());
  EXPECT_EQ(polled_fds(make_call("select", {0x7fffffff, readable, 0, 0, 0}), memory).size(), 2U);
}

TEST(Io, RelativeTimeouts) {
  FakeTracee memory;
  const std::uint64_t time = memory.put_array<std::int64_t>({2, 500});
  const auto relative = [](Nanoseconds value) { return CallTimeout{value, std::nullopt}; };
  const CallTimeout expected = relative(seconds{2} + Nanoseconds{500});
  EXPECT_EQ(call_timeout(make_call("poll", {0, 0, 2000}), memory), relative(milliseconds{2000}));
  EXPECT_EQ(call_timeout(make_call("poll", {0, 0, minus(1)}), memory), CallTimeout{});
  EXPECT_EQ(call_timeout(make_call("epoll_wait", {3, 0, 1, 0}), memory), relative(seconds{0}));
  EXPECT_EQ(call_timeout(make_call("ppoll", {0, 0, time}), memory), expected);
  EXPECT_EQ(call_timeout(make_call("ppoll", {0, 0, 0}), memory), CallTimeout{});
  EXPECT_EQ(call_timeout(make_call("pselect6", {0, 0, 0, 0, time}), memory), expected);
  EXPECT_EQ(call_timeout(make_call("select", {0, 0, 0, 0, time}), memory),
            relative(seconds{2} + std::chrono::microseconds{500}));
  EXPECT_EQ(call_timeout(make_call("epoll_pwait2", {3, 0, 1, time}), memory), expected);
  EXPECT_EQ(call_timeout(make_call("nanosleep", {time, 0}), memory), expected);
  EXPECT_EQ(call_timeout(make_call("clock_nanosleep", {1, 0, time, 0}), memory), expected);
  EXPECT_EQ(call_timeout(make_call("futex", {1, FUTEX_WAIT_PRIVATE, 2, time}), memory), expected);
  EXPECT_EQ(call_timeout(make_call("futex", {1, FUTEX_WAIT, 2, 0}), memory), CallTimeout{});
  EXPECT_EQ(call_timeout(make_call("semtimedop", {1, 0, 0, time}), memory), expected);
  EXPECT_EQ(call_timeout(make_call("rt_sigtimedwait", {0, 0, time}), memory), expected);
  EXPECT_EQ(call_timeout(make_call("recvmmsg", {3, 0, 1, 0, time}), memory), expected);
}

TEST(Io, AbsoluteTimeoutsNameTheirClock) {
  FakeTracee memory;
  const std::uint64_t time = memory.put_array<std::int64_t>({2, 0});
  const auto absolute = [](int clock) { return CallTimeout{seconds{2}, clock}; };
  EXPECT_EQ(call_timeout(make_call("clock_nanosleep", {CLOCK_BOOTTIME, 1, time, 0}), memory),
            absolute(CLOCK_BOOTTIME));
  EXPECT_EQ(call_timeout(make_call("futex", {1, 0x189, 0, time}), memory),
            absolute(CLOCK_REALTIME));
  EXPECT_EQ(call_timeout(make_call("futex", {1, 0x89, 0, time}), memory),
            absolute(CLOCK_MONOTONIC));
  EXPECT_EQ(call_timeout(make_call("futex", {1, FUTEX_LOCK_PI, 0, time}), memory),
            absolute(CLOCK_REALTIME));
  EXPECT_EQ(call_timeout(make_call("futex_waitv", {1, 1, 0, time, CLOCK_MONOTONIC}), memory),
            absolute(CLOCK_MONOTONIC));
  EXPECT_EQ(call_timeout(make_call("futex_wait", {1, 1, 1, 2, time, CLOCK_REALTIME}), memory),
            absolute(CLOCK_REALTIME));
  EXPECT_EQ(call_timeout(make_call("mq_timedreceive", {3, 0, 0, 0, time}), memory),
            absolute(CLOCK_REALTIME));
}

TEST(Io, NoTimeoutToKnow) {
  FakeTracee memory;
  EXPECT_EQ(call_timeout(make_call("read", {3}), memory), std::nullopt);
  EXPECT_EQ(call_timeout(make_call("futex", {1, FUTEX_WAKE, 2, 0x1000}), memory), std::nullopt);
  EXPECT_EQ(call_timeout(make_call("ppoll", {0, 0, kBadAddress}), memory), std::nullopt);
  EXPECT_EQ(call_timeout(make_call("nanosleep", {0, 0}), memory), std::nullopt);
  const std::uint64_t huge = memory.put_array<std::int64_t>({INT64_MAX, 5});
  EXPECT_EQ(call_timeout(make_call("nanosleep", {huge, 0}), memory)->value, Nanoseconds::max());
  const std::uint64_t negative = memory.put_array<std::int64_t>({-1, 5});
  EXPECT_EQ(call_timeout(make_call("nanosleep", {negative, 0}), memory)->value, Nanoseconds{0});
}

TEST(Io, Probes) {
  FakeTracee memory;
  const std::uint64_t zero = memory.put_array<std::int64_t>({0, 0});
  const std::uint64_t one = memory.put_array<std::int64_t>({0, 1});
  const std::uint64_t ops = memory.put_array<sembuf>({{0, -1, 0}, {0, -1, IPC_NOWAIT}});
  const auto probe = [&](std::string_view name, std::initializer_list<std::uint64_t> args) {
    return is_nonblocking_probe(make_call(name, args), memory);
  };
  EXPECT_TRUE(probe("wait4", {1, 0, WNOHANG}));
  EXPECT_FALSE(probe("wait4", {1, 0, 0}));
  EXPECT_TRUE(probe("waitid", {0, 0, 0, WEXITED | WNOHANG}));
  EXPECT_TRUE(probe("poll", {0, 0, 0}));
  EXPECT_FALSE(probe("poll", {0, 0, 1}));
  EXPECT_FALSE(probe("poll", {0, 0, minus(1)}));
  EXPECT_TRUE(probe("select", {0, 0, 0, 0, zero}));
  EXPECT_FALSE(probe("select", {0, 0, 0, 0, one}));
  EXPECT_FALSE(probe("select", {0, 0, 0, 0, 0}));
  EXPECT_FALSE(probe("pselect6", {0, 0, 0, 0, kBadAddress}));
  EXPECT_TRUE(probe("epoll_wait", {3, 0, 1, 0}));
  EXPECT_TRUE(probe("flock", {3, LOCK_EX | LOCK_NB}));
  EXPECT_FALSE(probe("flock", {3, LOCK_EX}));
  EXPECT_TRUE(probe("fcntl", {3, F_SETLK}));
  EXPECT_FALSE(probe("fcntl", {3, F_SETLKW}));
  EXPECT_TRUE(probe("futex", {1, FUTEX_TRYLOCK_PI_PRIVATE}));
  EXPECT_FALSE(probe("futex", {1, FUTEX_WAIT_PRIVATE}));
  EXPECT_TRUE(probe("recvfrom", {3, 0, 0, MSG_DONTWAIT}));
  EXPECT_TRUE(probe("recvmsg", {3, 0, MSG_DONTWAIT}));
  EXPECT_TRUE(probe("semop", {3, ops, 2}));
  EXPECT_FALSE(probe("semop", {3, ops, 1}));
  EXPECT_TRUE(probe("semtimedop", {3, ops, 1, zero}));
  EXPECT_FALSE(probe("semtimedop", {3, ops, 1, one}));
  EXPECT_FALSE(probe("read", {3, 0, 0}));
}

TEST(Io, WrittenBytes) {
  FakeTracee memory;
  const std::uint64_t buf = memory.put_raw("All done!\n");
  const std::uint64_t iov =
      memory.put_array<std::uint64_t>({buf, 4, buf + 4, 6, kBadAddress, 5, buf, 3});
  EXPECT_EQ(written_bytes(make_call("write", {1, buf, 10}), 10, memory), "All done!\n");
  EXPECT_EQ(written_bytes(make_call("write", {1, buf, 10}), 3, memory), "All");
  EXPECT_EQ(written_bytes(make_call("write", {1, buf, 2}), 9, memory), "Al");
  EXPECT_EQ(written_bytes(make_call("write", {1, buf, 10}), -32, memory), std::nullopt);
  EXPECT_EQ(written_bytes(make_call("write", {1, buf, 10}), 0, memory), std::nullopt);
  EXPECT_EQ(written_bytes(make_call("write", {1, kBadAddress, 10}), 10, memory), std::nullopt);
  EXPECT_EQ(written_bytes(make_call("writev", {1, iov, 2}), 7, memory), "All don");
  // Nothing is glued together over a gap.
  EXPECT_EQ(written_bytes(make_call("writev", {1, iov, 4}), 18, memory), "All done!\n");
  EXPECT_EQ(written_bytes(make_call("sendto", {1, buf, 3}), 3, memory), "All");
  EXPECT_EQ(written_bytes(make_call("read", {1, buf, 3}), 3, memory), std::nullopt);
  const std::uint64_t message = memory.put_array<std::uint64_t>({0, 0, iov, 2, 0, 0, 0, 10});
  EXPECT_EQ(written_bytes(make_call("sendmsg", {1, message, 0}), 5, memory), "All d");
  EXPECT_EQ(written_bytes(make_call("sendmmsg", {1, message, 1, 0}), 1, memory), "All done!\n");
}

TEST(Io, WrittenBytesOfWhatWasCaptured) {
  FakeTracee tracee;
  const std::uint64_t buf = tracee.put_raw("All done!\n");
  const RawCall call = make_call("write", {1, buf, 10});
  CaptureOptions how;
  CapturedMemory kept;
  capture_enter(call, tracee, how, kept);
  EXPECT_EQ(written_bytes(call, 10, kept), std::nullopt);
  how.output_fd = true;
  capture_enter(call, tracee, how, kept);
  EXPECT_EQ(written_bytes(call, 10, kept), "All done!\n");
}

}  // namespace
}  // namespace stucktrace::syscalls::testing
