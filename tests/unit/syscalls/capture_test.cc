#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/futex.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <array>
#include <cstddef>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "syscalls/decode.h"
#include "tests/unit/syscalls/fake_tracee.h"

namespace stucktrace::syscalls::testing {
namespace {

CaptureOptions options(Payload payload, bool output_fd = false) {
  CaptureOptions out;
  out.payload = payload;
  out.output_fd = output_fd;
  return out;
}

std::string captured_text(const FakeTracee& tracee, const RawCall& call,
                          const std::optional<RawResult>& result, const CaptureOptions& how) {
  CapturedMemory kept;
  capture_enter(call, tracee, how, kept);
  if (result) capture_exit(call, *result, tracee, how, kept);
  return render(decode(call, result, kept));
}

// A tracee with one of everything; calls refer to it by address.
struct Scene {
  FakeTracee tracee;
  std::uint64_t path = tracee.put_text("/tmp/some/path");
  std::uint64_t long_path = tracee.put_text(std::string(700, 'p'));
  std::uint64_t half_path = tracee.put_raw("/no/end");
  std::uint64_t buffer = tracee.put_raw(std::string(300, 'b'));
  std::uint64_t argv = tracee.put_array<std::uint64_t>({path, half_path, 0});
  std::uint64_t iov = tracee.put_array<std::uint64_t>({buffer, 200, path, 5, kBadAddress, 9});
  std::uint64_t time = tracee.put_array<std::int64_t>({3, 4, 5, 6});
  std::uint64_t set = tracee.put_array<std::uint64_t>({0x28, 0x1, 0, 0, 0, 0, 0, 0});
  std::uint64_t pack = tracee.put_array<std::uint64_t>({set, 8});
  std::uint64_t fds = tracee.put_array<pollfd>({{3, POLLIN, POLLIN}, {4, POLLOUT, 0}});
  std::uint64_t numbers = tracee.put_array<std::int32_t>({7, 8, 9, 10, 11, 12, 13, 14});
  std::uint64_t unix_address = tracee.put_raw(std::string{"\1\0/run/sock\0", 12});
  std::uint64_t inet_address =
      tracee.put_raw(std::string{"\2\0\1\273\12\1\2\3\0\0\0\0\0\0\0\0", 16});
  std::uint64_t address_length = tracee.put<std::uint32_t>(12);
  std::uint64_t lock = tracee.put_array<std::int64_t>({1, 10, 20, 4711});
  std::uint64_t words =
      tracee.put_array<std::uint64_t>({0x100, 2, 3, 4, 17, 6, 7, 8, 9, 10, 11, 12, 13, 14});
  std::uint64_t control = tracee.put_array<std::uint32_t>({24, 0, 1, 1, 5, 6});
  std::uint64_t message = tracee.put_array<std::uint64_t>(
      {unix_address, 12, iov, 3, control, 24, 0, 100, unix_address, 12, iov, 2, 0, 0, 0, 50});
  std::uint64_t semaphores = tracee.put_array<sembuf>({{0, -1, SEM_UNDO}, {1, 1, 0}});
};

struct Case {
  std::string_view name;
  std::vector<std::uint64_t> args;
  std::int64_t result;
};

std::vector<Case> all_cases(const Scene& s) {
  constexpr std::uint64_t kHuge = std::uint64_t{1} << 60;
  return {
      {"read", {3, s.buffer, 300}, 120},
      {"read", {3, s.buffer, kHuge}, 120},
      {"read", {3, s.buffer, 300}, -11},
      {"write", {1, s.buffer, 300}, 300},
      {"write", {1, s.buffer, kHuge}, 5},
      {"write", {1, kBadAddress, 10}, -14},
      {"pwrite64", {1, s.buffer, 10, 5}, 10},
      {"readv", {3, s.iov, 3}, 203},
      {"writev", {3, s.iov, 3}, 214},
      {"writev", {3, s.iov, kHuge}, -22},
      {"process_vm_readv", {9, s.iov, 2, s.iov, 1, 0}, 10},
      {"open", {s.path, O_RDWR}, 3},
      {"open", {s.long_path, O_RDWR}, 3},
      {"open", {s.half_path, O_RDWR}, -14},
      {"openat2", {minus(100), s.path, s.words, 24}, 3},
      {"rename", {s.path, s.half_path}, 0},
      {"readlink", {s.path, s.long_path, 300}, 300},
      {"getcwd", {s.path, 300}, 15},
      {"execve", {s.path, s.argv, s.argv}, 0},
      {"fcntl", {3, F_SETLKW, s.lock}, 0},
      {"fcntl", {3, F_GETLK, s.lock}, 0},
      {"fcntl", {3, F_SETFL, 1}, 0},
      {"ioctl", {3, 0x541b, s.numbers}, 0},
      {"ioctl", {3, 0x5401, s.numbers}, 0},
      {"ioctl", {3, 0x5410, s.numbers}, 0},
      {"ioctl", {3, 0x5413, s.numbers}, 0},
      {"poll", {s.fds, 2, 100}, 1},
      {"poll", {s.fds, 2, 100}, 0},
      {"poll", {s.fds, 0xffffffff, 100}, 0},
      {"ppoll", {s.fds, 2, s.time, s.set, 8}, 1},
      {"select", {8, s.set, 0, s.set, s.time}, 1},
      {"select", {0x7fffffff, s.set, kBadAddress, 0, 0}, 1},
      {"pselect6", {8, s.set, 0, 0, s.time, s.pack}, 1},
      {"epoll_ctl", {3, 1, 4, s.words}, 0},
      {"epoll_wait", {3, s.words, 10, 5}, 2},
      {"epoll_pwait2", {3, s.words, 10, s.time, s.set, 8}, 2},
      {"pipe2", {s.numbers, 0}, 0},
      {"socketpair", {1, 1, 0, s.numbers}, 0},
      {"connect", {3, s.unix_address, 12}, 0},
      {"connect", {3, s.inet_address, 16}, 0},
      {"bind", {3, s.inet_address, 0xffffffff}, 0},
      {"accept", {3, s.unix_address, s.address_length}, 4},
      {"accept", {3, 0, 0}, 4},
      {"sendto", {3, s.buffer, 10, 0, s.unix_address, 12}, 10},
      {"recvfrom", {3, s.buffer, 100, 0, s.unix_address, s.address_length}, 10},
      {"sendmsg", {3, s.message, 0}, 200},
      {"recvmsg", {3, s.message, 0}, 100},
      {"sendmmsg", {3, s.message, 2, 0}, 2},
      {"recvmmsg", {3, s.message, 2, 0, s.time}, 2},
      {"setsockopt", {3, 1, 2, s.numbers, 4}, 0},
      {"setsockopt", {3, 1, 20, s.time, 16}, 0},
      {"getsockopt", {3, 1, 17, s.numbers, s.address_length}, 0},
      {"futex", {s.numbers, FUTEX_WAIT, 2, s.time}, -110},
      {"futex", {s.numbers, FUTEX_WAKE, 2, s.time}, 1},
      {"futex_waitv", {s.words, 2, 0, s.time, 1}, 0},
      {"futex_requeue", {s.words, 0, 1, 1}, 0},
      {"wait4", {minus(1), s.numbers, 0, 0}, 7},
      {"wait4", {minus(1), s.numbers, WNOHANG, 0}, 0},
      {"waitid", {0, 0, s.numbers, WEXITED, 0}, 0},
      {"clone3", {s.words, 88}, 5},
      {"clone3", {s.words, 64}, 5},
      {"rt_sigaction", {10, s.words, s.words, 8}, 0},
      {"rt_sigprocmask", {0, s.set, s.set, 8}, 0},
      {"rt_sigtimedwait", {s.set, s.numbers, s.time, 8}, 10},
      {"nanosleep", {s.time, s.time}, -516},
      {"nanosleep", {s.time, s.time}, 0},
      {"clock_nanosleep", {1, 1, s.time, 0}, 0},
      {"timerfd_settime", {3, 0, s.time, s.time}, 0},
      {"setitimer", {0, s.time, s.time}, 0},
      {"utimensat", {3, s.path, s.time, 0}, 0},
      {"semtimedop", {3, s.semaphores, 2, s.time}, 0},
      {"msgsnd", {3, s.message, 30, 0}, 0},
      {"msgrcv", {3, s.message, 30, 0, 0}, 20},
      {"mq_open", {s.path, 0x42, 0600, s.words}, 3},
      {"mq_timedsend", {3, s.buffer, 30, 0, s.time}, 0},
      {"mq_timedreceive", {3, s.buffer, 30, s.numbers, s.time}, 20},
      {"mq_getsetattr", {3, s.words, s.words}, 0},
      {"prlimit64", {0, 7, s.words, s.words}, 0},
      {"prctl", {15, s.path}, 0},
      {"prctl", {16, s.path}, 0},
      {"prctl", {37, s.numbers}, 0},
      {"sendfile", {3, 4, s.words, 10}, 10},
      {"getrandom", {s.buffer, 100, 0}, 100},
      {"setxattr", {s.path, s.half_path, s.buffer, 20, 0}, 0},
      {"getpid", {}, 9},
      {"exit_group", {1}, 0},
  };
}

RawCall to_call(const Case& c) {
  RawCall call = make_call(c.name, {});
  std::copy(c.args.begin(), c.args.end(), call.args.begin());
  return call;
}

TEST(Capture, WhatIsKeptDecodesAsTheTraceeItself) {
  const Scene scene;
  for (const Case& c : all_cases(scene)) {
    const RawCall call = to_call(c);
    ASSERT_GE(call.number, 0) << c.name;
    const RawResult result{c.result, c.result < 0};
    const CaptureOptions how = options(Payload::kAll);
    EXPECT_EQ(captured_text(scene.tracee, call, std::nullopt, how),
              render(decode(call, std::nullopt, scene.tracee)));
    EXPECT_EQ(captured_text(scene.tracee, call, result, how),
              render(decode(call, result, scene.tracee)));
  }
}

TEST(Capture, EveryAddressUnreadable) {
  const Scene scene;
  const FakeTracee nothing;
  for (const Case& c : all_cases(scene)) {
    const RawCall call = to_call(c);
    CapturedMemory kept;
    capture_enter(call, nothing, options(Payload::kAll), kept);
    capture_exit(call, RawResult{c.result, c.result < 0}, nothing, options(Payload::kAll), kept);
    EXPECT_TRUE(kept.empty()) << c.name;
  }
}

TEST(Capture, CallsWithoutMemoryReadNothing) {
  const FakeTracee tracee;
  CapturedMemory kept;
  for (const char* name : {"getpid", "close", "dup2", "fork", "kill", "lseek", "exit_group", "mmap",
                           "brk", "futex", "flock", "socket", "shutdown", "epoll_create1"}) {
    RawCall call = make_call(name, {0x1000, FUTEX_WAKE, 1, 0x1000, 0x1000, 0x1000});
    capture_enter(call, tracee, options(Payload::kAll), kept);
    capture_exit(call, RawResult{1, false}, tracee, options(Payload::kAll), kept);
  }
  EXPECT_EQ(tracee.reads(), 0);
  EXPECT_TRUE(kept.empty());
}

TEST(Capture, OneReadPerNeed) {
  const auto reads = [](const std::function<RawCall(const Scene&)>& make, bool exit) {
    const Scene scene;
    CapturedMemory kept;
    const RawCall call = make(scene);
    if (exit) {
      capture_exit(call, RawResult{1, false}, scene.tracee, options(Payload::kAll), kept);
    } else {
      capture_enter(call, scene.tracee, options(Payload::kAll), kept);
    }
    return scene.tracee.reads();
  };
  const auto write = [](const Scene& s) { return make_call("write", {1, s.buffer, 10}); };
  const auto poll = [](const Scene& s) { return make_call("poll", {s.fds, 2, 0}); };
  const auto open = [](const Scene& s) { return make_call("open", {s.path, 0}); };
  const auto accept = [](const Scene& s) {
    return make_call("accept", {3, s.unix_address, s.address_length});
  };
  EXPECT_EQ(reads(write, false), 1);
  EXPECT_EQ(reads(write, true), 0);
  EXPECT_EQ(reads(poll, false), 1);
  EXPECT_EQ(reads(poll, true), 1);
  EXPECT_EQ(reads(open, false), 1);
  EXPECT_EQ(reads(accept, true), 2);
}

TEST(Capture, TextModeKeepsPathsAndOutputAlone) {
  const Scene s;
  const auto shown = [&](const RawCall& call, std::int64_t result, bool output_fd) {
    return captured_text(s.tracee, call, RawResult{result, false},
                         options(Payload::kText, output_fd));
  };
  EXPECT_EQ(shown(make_call("write", {4, s.buffer, 5}), 5, false), "write(4, \"\"..., 5) = 5");
  EXPECT_EQ(shown(make_call("write", {1, s.buffer, 5}), 5, true), "write(1, \"bbbbb\", 5) = 5");
  // What is typed on a terminal is nobody's business even where the descriptor is one.
  EXPECT_EQ(shown(make_call("read", {0, s.buffer, 5}), 5, true), "read(0, \"\"..., 5) = 5");
  EXPECT_EQ(shown(make_call("chdir", {s.path}), 0, false), "chdir(\"/tmp/some/path\") = 0");
  EXPECT_EQ(shown(make_call("connect", {3, s.unix_address, 12}), 0, false),
            "connect(3, {sa_family=AF_UNIX, sun_path=\"/run/sock\"}, 12) = 0");
  EXPECT_EQ(shown(make_call("writev", {4, s.iov, 2}), 205, false),
            "writev(4, [{iov_base=\"\"..., iov_len=200}, {iov_base=\"\"..., iov_len=5}], 2) = 205");
}

TEST(Capture, NoneKeepsControlStructuresAlone) {
  const Scene s;
  const auto shown = [&](const RawCall& call) {
    return captured_text(s.tracee, call, std::nullopt, options(Payload::kNone, true));
  };
  EXPECT_EQ(shown(make_call("write", {1, s.buffer, 5})), "write(1, \"\"..., 5)");
  EXPECT_EQ(shown(make_call("chdir", {s.path})), "chdir(0x10000)");
  EXPECT_EQ(shown(make_call("connect", {3, s.unix_address, 12})),
            "connect(3, {sa_family=AF_UNIX}, 12)");
  EXPECT_EQ(shown(make_call("connect", {3, s.inet_address, 16})),
            "connect(3, {sa_family=AF_INET, sin_port=htons(443), "
            "sin_addr=inet_addr(\"10.1.2.3\")}, 16)");
  EXPECT_EQ(shown(make_call("poll", {s.fds, 1, 0})), "poll([{fd=3, events=POLLIN}], 1, 0)");
  const RawCall exec = make_call("execve", {s.path, s.argv, s.argv});
  CapturedMemory kept;
  capture_enter(exec, s.tracee, options(Payload::kNone), kept);
  EXPECT_TRUE(kept.empty());
}

TEST(Capture, TheEnvironmentIsNeverKept) {
  FakeTracee tracee;
  const std::uint64_t secret = tracee.put_text("SECRET=1");
  const std::uint64_t program = tracee.put_text("/bin/sh");
  // As on a new program's stack: the environment follows the arguments directly.
  const std::uint64_t argv = tracee.put_array<std::uint64_t>({program, 0, secret, 0});
  CapturedMemory kept;
  capture_enter(make_call("execve", {program, argv, argv + 16}), tracee, options(Payload::kAll),
                kept);
  std::array<std::byte, 8> out{};
  EXPECT_EQ(kept.read(base::RemoteAddr{secret}, out), 0);
  EXPECT_EQ(kept.read(base::RemoteAddr{argv + 16}, out), 0);
  EXPECT_EQ(kept.read(base::RemoteAddr{argv}, out), 8);
}

TEST(Capture, LimitsHoldForBuffersAndWholeVectors) {
  const Scene s;
  CaptureOptions how = options(Payload::kAll);
  how.buffer_limit = 8;
  EXPECT_EQ(captured_text(s.tracee, make_call("write", {1, s.buffer, 300}), std::nullopt, how),
            "write(1, \"bbbbbbbb\"..., 300)");
  EXPECT_EQ(captured_text(s.tracee, make_call("writev", {1, s.iov, 2}), std::nullopt, how),
            "writev(1, [{iov_base=\"bbbbbbbb\"..., iov_len=200}, {iov_base=\"\"..., iov_len=5}], "
            "2)");
  how.buffer_limit = ~std::size_t{0};
  CapturedMemory kept;
  capture_enter(make_call("write", {1, s.buffer, ~std::uint64_t{0}}), s.tracee, how, kept);
  ASSERT_EQ(kept.ranges().size(), 1U);
  EXPECT_EQ(kept.ranges()[0].size, 300U);
}

TEST(Capture, UnknownNumbersAreLeftAlone) {
  const Scene s;
  CapturedMemory kept;
  RawCall call;
  call.number = 9999;
  call.args = {s.path, s.path, s.path, s.path, s.path, s.path};
  capture_enter(call, s.tracee, options(Payload::kAll), kept);
  capture_exit(call, RawResult{1, false}, s.tracee, options(Payload::kAll), kept);
  call.abi = Abi::kX32;
  call.number = 0x40000000 | 600;
  capture_enter(call, s.tracee, options(Payload::kAll), kept);
  call.abi = Abi::kUnknown;
  call.number = 5;
  capture_enter(call, s.tracee, options(Payload::kAll), kept);
  EXPECT_TRUE(kept.empty());
}

TEST(CapturedMemory, ReadsIntoItselfAgainOnceItWasLargeOrMovedFrom) {
  const std::vector<std::byte> large(300, std::byte{7});
  const auto keeps_inside = [](CapturedMemory& kept) {
    const std::array<std::byte, 8> few{};
    kept.add(base::RemoteAddr{0x1000}, few);
    EXPECT_EQ(kept.ranges().size(), 1U);
    const std::byte* const data = kept.bytes(kept.ranges().front()).data();
    const auto* const self = reinterpret_cast<const std::byte*>(&kept);
    return data >= self && data < self + sizeof kept;
  };
  CapturedMemory kept;
  kept.add(base::RemoteAddr{0x1000}, large);
  CapturedMemory taken = std::move(kept);
  EXPECT_EQ(taken.ranges().size(), 1U);
  kept.reset();  // NOLINT(bugprone-use-after-move): that this may be done is the point
  EXPECT_TRUE(keeps_inside(kept));
  taken.reset();
  EXPECT_TRUE(keeps_inside(taken));
  taken.reset();
  EXPECT_TRUE(taken.empty());
}

}  // namespace
}  // namespace stucktrace::syscalls::testing
