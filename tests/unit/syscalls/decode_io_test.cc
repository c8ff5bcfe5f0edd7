#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/uio.h>

#include "syscalls/decode.h"
#include "tests/unit/syscalls/fake_tracee.h"

namespace stucktrace::syscalls::testing {
namespace {

constexpr std::uint64_t kAtFdcwd = minus(100);

TEST(DecodeIo, ReadShowsItsBufferOnlyWhenDone) {
  FakeTracee memory;
  const std::uint64_t buf = memory.put_raw("hello world");
  EXPECT_EQ(open_text(memory, "read", {3, buf, 100}), "read(3, 0x10000, 100)");
  EXPECT_EQ(done_text(memory, "read", {3, buf, 100}, 5), "read(3, \"hello\", 100) = 5");
  EXPECT_EQ(done_text(memory, "read", {3, buf, 100}, 0), "read(3, \"\", 100) = 0");
  EXPECT_EQ(done_text(memory, "read", {3, buf, 100}, -11), "read(3, 0x10000, 100)");
  // A result larger than the buffer cannot be true.
  EXPECT_EQ(done_text(memory, "read", {3, buf, 3}, 1000), "read(3, \"hel\", 3) = 1000");
}

TEST(DecodeIo, WriteShowsItsBufferAtOnce) {
  FakeTracee memory;
  const std::uint64_t buf = memory.put_raw("All done! Goodbye!\n");
  EXPECT_EQ(open_text(memory, "write", {1, buf, 19}), "write(1, \"All done! Goodbye!\\n\", 19)");
  EXPECT_EQ(open_text(memory, "write", {1, buf, 200'009}),
            "write(1, \"All done! Goodbye!\\n\"..., 200009)");
  EXPECT_EQ(open_text(memory, "write", {1, kBadAddress, 7}), "write(1, \"\"..., 7)");
  EXPECT_EQ(open_text(memory, "write", {1, 0, 7}), "write(1, NULL, 7)");
  const DecodedCall call = decode(make_call("write", {1, buf, 200'009}), std::nullopt, memory);
  const auto& buffer = std::get<Buffer>(call.args[1].value.data);
  EXPECT_EQ(buffer.size, 200'009);
  EXPECT_EQ(buffer.bytes.size(), 19);
}

TEST(DecodeIo, Vectors) {
  FakeTracee memory;
  const std::uint64_t a = memory.put_raw("abc");
  const std::uint64_t b = memory.put_raw("defgh");
  const std::uint64_t iov = memory.put_array<std::uint64_t>({a, 3, b, 5});
  EXPECT_EQ(open_text(memory, "writev", {1, iov, 2}),
            "writev(1, [{iov_base=\"abc\", iov_len=3}, {iov_base=\"defgh\", iov_len=5}], 2)");
  EXPECT_EQ(done_text(memory, "readv", {1, iov, 2}, 4),
            "readv(1, [{iov_base=\"abc\", iov_len=3}, {iov_base=\"d\", iov_len=5}], 2) = 4");
  EXPECT_EQ(open_text(memory, "readv", {1, iov, 2}), "readv(1, 0x14000, 2)");
  EXPECT_EQ(open_text(memory, "process_vm_readv", {7, iov, 1, iov, 1, 0}),
            "process_vm_readv(7, [{iov_base=0x10000, iov_len=3}], 1, [{iov_base=0x10000, "
            "iov_len=3}], 1, 0)");
}

TEST(DecodeIo, HugeCountsAreBounded) {
  FakeTracee memory;
  const std::uint64_t iov = memory.put_array<std::uint64_t>({0x5000, ~std::uint64_t{0}});
  EXPECT_EQ(open_text(memory, "writev", {1, iov, std::uint64_t{1} << 60}),
            "writev(1, [{iov_base=\"\"..., iov_len=18446744073709551615}, ...], "
            "1152921504606846976)");
  EXPECT_EQ(open_text(memory, "writev", {1, kBadAddress, std::uint64_t{1} << 60}),
            "writev(1, 0xdead0000, 1152921504606846976)");
  const std::uint64_t fds = memory.put(pollfd{5, POLLIN, 0});
  EXPECT_EQ(open_text(memory, "poll", {fds, 0xffffffff, 0}),
            "poll([{fd=5, events=POLLIN}, ...], 4294967295, 0)");
}

TEST(DecodeIo, OpenFamily) {
  FakeTracee memory;
  const std::uint64_t path = memory.put_text("/tmp/x");
  EXPECT_EQ(done_text(memory, "openat", {kAtFdcwd, path, O_RDONLY | O_CLOEXEC, 0x1234}, 3),
            "openat(AT_FDCWD, \"/tmp/x\", O_RDONLY|O_CLOEXEC) = 3");
  EXPECT_EQ(open_text(memory, "open", {path, O_WRONLY | O_CREAT, 0644}),
            "open(\"/tmp/x\", O_WRONLY|O_CREAT, 0644)");
  EXPECT_EQ(open_text(memory, "openat", {5, path, O_RDWR | 020200000, 0600}),
            "openat(5, \"/tmp/x\", O_RDWR|O_TMPFILE, 0600)");
  const std::uint64_t how = memory.put_array<std::uint64_t>({O_CREAT | O_RDWR, 0600, 8});
  EXPECT_EQ(open_text(memory, "openat2", {kAtFdcwd, path, how, 24}),
            "openat2(AT_FDCWD, \"/tmp/x\", {flags=O_RDWR|O_CREAT, mode=0600, "
            "resolve=RESOLVE_BENEATH}, 24)");
  EXPECT_EQ(open_text(memory, "openat2", {kAtFdcwd, path, how, 8}),
            "openat2(AT_FDCWD, \"/tmp/x\", 0x12000, 8)");
}

TEST(DecodeIo, ResultsThatAreDescriptors) {
  FakeTracee memory;
  const auto result = [&](std::string_view name, std::initializer_list<std::uint64_t> args) {
    return decode(make_call(name, args), RawResult{9, false}, memory).result;
  };
  for (const char* name : {"open", "dup", "dup2", "dup3", "epoll_create1", "eventfd2", "socket",
                           "accept4", "timerfd_create", "memfd_create", "pidfd_open"}) {
    const auto value = result(name, {});
    ASSERT_TRUE(value) << name;
    EXPECT_TRUE(std::holds_alternative<Fd>(value->data)) << name;
  }
  EXPECT_TRUE(std::holds_alternative<Fd>(result("fcntl", {3, F_DUPFD_CLOEXEC})->data));
  EXPECT_TRUE(std::holds_alternative<Integer>(result("fcntl", {3, F_GETPIPE_SZ})->data));
  EXPECT_TRUE(std::holds_alternative<Hex>(result("mmap", {})->data));
  EXPECT_TRUE(std::holds_alternative<PidValue>(result("fork", {})->data));
  EXPECT_FALSE(decode(make_call("fork", {}), RawResult{-11, true}, memory).result);
  EXPECT_FALSE(decode(make_call("fork", {}), std::nullopt, memory).result);
  EXPECT_FALSE(decode(make_call("exit_group", {0}), RawResult{0, false}, memory).result);
}

TEST(DecodeIo, PipesAndPairs) {
  FakeTracee memory;
  const std::uint64_t fds = memory.put_array<std::int32_t>({3, 4});
  EXPECT_EQ(done_text(memory, "pipe2", {fds, O_CLOEXEC}, 0), "pipe2([3, 4], O_CLOEXEC) = 0");
  EXPECT_EQ(open_text(memory, "pipe2", {fds, O_CLOEXEC}), "pipe2(0x10000, O_CLOEXEC)");
  EXPECT_EQ(done_text(memory, "pipe", {fds}, -24), "pipe(0x10000)");
  EXPECT_EQ(done_text(memory, "close_range", {3, ~0U, 4}, 0),
            "close_range(3, 4294967295, CLOSE_RANGE_CLOEXEC) = 0");
}

TEST(DecodeIo, FcntlCommands) {
  FakeTracee memory;
  EXPECT_EQ(done_text(memory, "fcntl", {3, F_GETFL, 77}, O_RDWR | O_NONBLOCK),
            "fcntl(3, F_GETFL) = O_RDWR|O_NONBLOCK");
  EXPECT_EQ(done_text(memory, "fcntl", {3, F_GETFD}, 1), "fcntl(3, F_GETFD) = FD_CLOEXEC");
  EXPECT_EQ(open_text(memory, "fcntl", {3, F_SETFD, 1}), "fcntl(3, F_SETFD, FD_CLOEXEC)");
  EXPECT_EQ(open_text(memory, "fcntl", {3, F_SETFL, O_NONBLOCK}),
            "fcntl(3, F_SETFL, O_RDONLY|O_NONBLOCK)");
  EXPECT_EQ(open_text(memory, "fcntl", {3, F_SETPIPE_SZ, 65536}), "fcntl(3, F_SETPIPE_SZ, 65536)");
  struct flock lock{};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = 10;
  lock.l_len = 20;
  lock.l_pid = 4711;
  const std::uint64_t address = memory.put(lock);
  EXPECT_EQ(open_text(memory, "fcntl", {3, F_SETLKW, address}),
            "fcntl(3, F_SETLKW, {l_type=F_WRLCK, l_whence=SEEK_SET, l_start=10, l_len=20})");
  EXPECT_EQ(done_text(memory, "fcntl", {3, F_GETLK, address}, 0),
            "fcntl(3, F_GETLK, {l_type=F_WRLCK, l_whence=SEEK_SET, l_start=10, l_len=20, "
            "l_pid=4711}) = 0");
  EXPECT_EQ(open_text(memory, "fcntl", {3, F_SETLKW, kBadAddress}),
            "fcntl(3, F_SETLKW, 0xdead0000)");
  EXPECT_EQ(open_text(memory, "fcntl", {3, 9999, 7}), "fcntl(3, 9999, 0x7)");
  EXPECT_EQ(open_text(memory, "flock", {3, 6}), "flock(3, LOCK_EX|LOCK_NB)");
}

TEST(DecodeIo, Poll) {
  FakeTracee memory;
  const std::uint64_t fds =
      memory.put_array<pollfd>({{5, POLLIN, POLLHUP}, {-1, POLLOUT | POLLIN, 0}});
  EXPECT_EQ(open_text(memory, "poll", {fds, 2, 2000}),
            "poll([{fd=5, events=POLLIN}, {fd=-1, events=POLLIN|POLLOUT}], 2, 2000)");
  EXPECT_EQ(done_text(memory, "poll", {fds, 1, minus(1)}, 1),
            "poll([{fd=5, events=POLLIN, revents=POLLHUP}], 1, -1) = 1");
  const std::uint64_t timeout = memory.put_array<std::int64_t>({1, 500});
  const std::uint64_t mask = memory.put<std::uint64_t>(1U << (SIGINT - 1));
  EXPECT_EQ(open_text(memory, "ppoll", {fds, 1, timeout, mask, 8}),
            "ppoll([{fd=5, events=POLLIN}], 1, {tv_sec=1, tv_nsec=500}, [INT], 8)");
  EXPECT_EQ(open_text(memory, "ppoll", {0, 0, 0, 0, 8}), "ppoll([], 0, NULL, NULL, 8)");
}

TEST(DecodeIo, Select) {
  FakeTracee memory;
  fd_set set;
  FD_ZERO(&set);
  FD_SET(3, &set);
  FD_SET(70, &set);
  const std::uint64_t readable = memory.put(set);
  const std::uint64_t timeout = memory.put_array<std::int64_t>({0, 50'000});
  EXPECT_EQ(open_text(memory, "select", {71, readable, 0, 0, timeout}),
            "select(71, [3, 70], NULL, NULL, {tv_sec=0, tv_usec=50000})");
  EXPECT_EQ(open_text(memory, "select", {70, readable, 0, 0, 0}),
            "select(70, [3], NULL, NULL, NULL)");
  EXPECT_EQ(open_text(memory, "select", {0, readable, 0, 0, 0}), "select(0, [], NULL, NULL, NULL)");
  EXPECT_EQ(open_text(memory, "select", {minus(1), readable, kBadAddress, 0, 0}),
            "select(-1, [], [], NULL, NULL)");
  const std::uint64_t mask = memory.put<std::uint64_t>(1);
  const std::uint64_t pack = memory.put_array<std::uint64_t>({mask, 8});
  EXPECT_EQ(open_text(memory, "pselect6", {4, readable, 0, 0, 0, pack}),
            "pselect6(4, [3], NULL, NULL, NULL, {sigmask=[HUP], sigsetsize=8})");
}

TEST(DecodeIo, Epoll) {
  FakeTracee memory;
  struct [[gnu::packed]] Event {  // as x86 has it, wherever this test runs
    std::uint32_t events;
    std::uint64_t data;
  };
  const Event events[] = {{EPOLLIN | EPOLLET, 5}, {EPOLLOUT, 1ULL << 40}};
  const std::uint64_t address = memory.put_bytes(std::as_bytes(std::span{events}));
  EXPECT_EQ(open_text(memory, "epoll_ctl", {3, EPOLL_CTL_ADD, 7, address}),
            "epoll_ctl(3, EPOLL_CTL_ADD, 7, {events=EPOLLIN|EPOLLET, data={u32=5, u64=5}})");
  EXPECT_EQ(open_text(memory, "epoll_ctl", {3, EPOLL_CTL_DEL, 7, 0}),
            "epoll_ctl(3, EPOLL_CTL_DEL, 7, NULL)");
  EXPECT_EQ(done_text(memory, "epoll_wait", {3, address, 64, minus(1)}, 2),
            "epoll_wait(3, [{events=EPOLLIN|EPOLLET, data={u32=5, u64=5}}, {events=EPOLLOUT, "
            "data={u32=0, u64=1099511627776}}], 64, -1) = 2");
  EXPECT_EQ(done_text(memory, "epoll_wait", {3, address, 64, 0}, 0),
            "epoll_wait(3, [], 64, 0) = 0");
  EXPECT_EQ(open_text(memory, "epoll_wait", {3, address, 64, 10}),
            "epoll_wait(3, 0x10000, 64, 10)");
}

TEST(DecodeIo, Ioctl) {
  FakeTracee memory;
  const std::uint64_t number = memory.put<std::int32_t>(4096);
  EXPECT_EQ(done_text(memory, "ioctl", {4, FIONREAD, number}, 0), "ioctl(4, FIONREAD, [4096]) = 0");
  EXPECT_EQ(open_text(memory, "ioctl", {4, FIONREAD, number}), "ioctl(4, FIONREAD, 0x10000)");
  EXPECT_EQ(open_text(memory, "ioctl", {0, TIOCSPGRP, number}), "ioctl(0, TIOCSPGRP, [4096])");
  const std::uint64_t size = memory.put_array<std::uint16_t>({24, 80, 0, 0});
  EXPECT_EQ(done_text(memory, "ioctl", {0, TIOCGWINSZ, size}, 0),
            "ioctl(0, TIOCGWINSZ, {ws_row=24, ws_col=80, ws_xpixel=0, ws_ypixel=0}) = 0");
  EXPECT_EQ(open_text(memory, "ioctl", {4, FIOCLEX, 99}), "ioctl(4, FIOCLEX)");
  EXPECT_EQ(open_text(memory, "ioctl", {4, TCSBRK, 1}), "ioctl(4, TCSBRK, 1)");
  EXPECT_EQ(open_text(memory, "ioctl", {4, 0x8004fe07, 0x10}),
            "ioctl(4, _IOC(_IOC_READ, 0xfe, 0x7, 0x4), 0x10)");
  const std::uint64_t termios = memory.put_array<std::uint32_t>({1, 2, 3, 0x8a3b});
  EXPECT_EQ(done_text(memory, "ioctl", {0, 0x5401, termios}, 0),
            "ioctl(0, TCGETS, {c_iflag=0x1, c_oflag=0x2, c_cflag=0x3, c_lflag=0x8a3b}) = 0");
}

TEST(DecodeIo, PathsOfAllKinds) {
  FakeTracee memory;
  const std::uint64_t a = memory.put_text("a");
  const std::uint64_t b = memory.put_text("b");
  EXPECT_EQ(open_text(memory, "rename", {a, b}), "rename(\"a\", \"b\")");
  EXPECT_EQ(open_text(memory, "unlinkat", {kAtFdcwd, a, 0x200}),
            "unlinkat(AT_FDCWD, \"a\", AT_REMOVEDIR)");
  EXPECT_EQ(open_text(memory, "mkdir", {a, 0755}), "mkdir(\"a\", 0755)");
  EXPECT_EQ(open_text(memory, "access", {a, 0}), "access(\"a\", F_OK)");
  EXPECT_EQ(done_text(memory, "readlink", {a, memory.put_raw("/dev/null"), 100}, 9),
            "readlink(\"a\", \"/dev/null\", 100) = 9");
  EXPECT_EQ(done_text(memory, "getcwd", {memory.put_text("/root"), 100}, 6),
            "getcwd(\"/root\", 100) = 6");
  EXPECT_EQ(open_text(memory, "chdir", {kBadAddress}), "chdir(0xdead0000)");
  EXPECT_EQ(open_text(memory, "chdir", {0}), "chdir(NULL)");
  EXPECT_EQ(open_text(memory, "lseek", {3, minus(5), 2}), "lseek(3, -5, SEEK_END)");
}

TEST(DecodeIo, TextsThatDoNotEnd) {
  FakeTracee memory;
  EXPECT_EQ(open_text(memory, "chdir", {memory.put_raw("/half")}), "chdir(\"/half\"...)");
  const std::string longer(5000, 'p');
  const auto call = decode(make_call("chdir", {memory.put_text(longer)}), std::nullopt, memory);
  const auto& text = std::get<Text>(call.args[0].value.data);
  EXPECT_EQ(text.bytes, std::string(4096, 'p'));
  EXPECT_TRUE(text.cut);
}

TEST(DecodeIo, SpliceAndCopies) {
  FakeTracee memory;
  const std::uint64_t offset = memory.put<std::int64_t>(77);
  EXPECT_EQ(open_text(memory, "splice", {3, 0, 4, offset, 4096, 3}),
            "splice(3, NULL, 4, [77], 4096, SPLICE_F_MOVE|SPLICE_F_NONBLOCK)");
  EXPECT_EQ(open_text(memory, "sendfile", {4, 3, 0, 10}), "sendfile(4, 3, NULL, 10)");
}

TEST(DecodeIo, UnknownNumbersAreSixWords) {
  const FakeTracee memory;
  RawCall call;
  call.number = 1234;
  call.args = {1, 2, 3, 4, 5, 0xff};
  const DecodedCall decoded = decode(call, RawResult{7, false}, memory);
  EXPECT_EQ(decoded.row, nullptr);
  EXPECT_EQ(render(decoded), "syscall_1234(0x1, 0x2, 0x3, 0x4, 0x5, 0xff) = 7");
  call.number = -1;
  EXPECT_EQ(decode(call, std::nullopt, memory).name, "syscall_0xffffffffffffffff");
  call.abi = Abi::kUnknown;
  call.number = 3;
  EXPECT_EQ(decode(call, std::nullopt, memory).name, "syscall_3");
}

}  // namespace
}  // namespace stucktrace::syscalls::testing
