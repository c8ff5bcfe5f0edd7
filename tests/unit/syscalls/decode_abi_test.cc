#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "syscalls/io.h"
#include "syscalls/multiplexed.h"
#include "tests/unit/syscalls/fake_tracee.h"

// The same calls in other ABIs: structures of 32-bit words, either width of time, arguments that
// are in memory or spread over two registers.

namespace stucktrace::syscalls::testing {
namespace {

using Word = std::uint32_t;
using Words = std::initializer_list<std::uint64_t>;

Word low(std::uint64_t address) {
  return static_cast<Word>(address);
}

// As the engine sees it: what is many in one is taken apart, what the decoder wants is captured and
// the text made from that alone.
class I386 : public ::testing::Test {
 protected:
  std::string open(std::int64_t number, Words args) const {
    const RawCall call = unfolded(make_call(Abi::kI386, number, args), tracee_);
    CapturedMemory kept;
    capture_enter(call, tracee_, all(), kept);
    const std::string text = render(decode(call, std::nullopt, kept));
    EXPECT_EQ(text, render(decode(call, std::nullopt, tracee_)));
    return text;
  }
  std::string done(std::int64_t number, Words args, std::int64_t result) const {
    const RawCall call = unfolded(make_call(Abi::kI386, number, args), tracee_);
    const RawResult returned{result, result < 0};
    CapturedMemory kept;
    capture_enter(call, tracee_, all(), kept);
    capture_exit(call, returned, tracee_, all(), kept);
    const std::string text = render(decode(call, returned, kept));
    EXPECT_EQ(text, render(decode(call, returned, tracee_)));
    return text;
  }
  static CaptureOptions all() {
    CaptureOptions options;
    options.payload = Payload::kAll;
    return options;
  }

  FakeTracee tracee_;
};

TEST_F(I386, NumbersPathsAndDescriptors) {
  const std::uint64_t path = tracee_.put_text("/etc/hosts");
  EXPECT_EQ(done(5, {path, 0100000}, 3), "open(\"/etc/hosts\", O_RDONLY|O_LARGEFILE) = 3");
  EXPECT_EQ(done(295, {0xffffff9c, path, 0}, 4), "openat(AT_FDCWD, \"/etc/hosts\", O_RDONLY) = 4");
  EXPECT_EQ(done(6, {0xffffffff}, -9), "close(-1)");
  const std::uint64_t pair = tracee_.put_array<std::int32_t>({5, 6});
  EXPECT_EQ(done(42, {pair}, 0), "pipe([5, 6]) = 0");
}

TEST_F(I386, ArgvHasPointersOfFourBytes) {
  const std::uint64_t path = tracee_.put_text("/bin/echo");
  const Word name = low(tracee_.put_text("echo"));
  const Word text = low(tracee_.put_text("hello world"));
  const std::uint64_t argv = tracee_.put_array<Word>({name, text, 0, 0xdead0000});
  EXPECT_EQ(open(11, {path, argv, 0}), "execve(\"/bin/echo\", [\"echo\", \"hello world\"], NULL)");
  // An argv that stops at the edge of a mapping without its null.
  const std::uint64_t cut = tracee_.put_array<Word>({name});
  EXPECT_EQ(open(11, {path, cut, 0}), "execve(\"/bin/echo\", [\"echo\", ...], NULL)");
}

TEST_F(I386, VectorsOfBuffers) {
  const Word one = low(tracee_.put_raw("ab"));
  const Word two = low(tracee_.put_raw("cde"));
  const std::uint64_t vector = tracee_.put_array<Word>({one, 2, two, 3});
  EXPECT_EQ(done(146, {1, vector, 2}, 5),
            "writev(1, [{iov_base=\"ab\", iov_len=2}, {iov_base=\"cde\", iov_len=3}], 2) = 5");
  EXPECT_EQ(done(145, {0, vector, 2}, 3),
            "readv(0, [{iov_base=\"ab\", iov_len=2}, {iov_base=\"c\", iov_len=3}], 2) = 3");
  const RawCall call = make_call(Abi::kI386, 146, {1, vector, 2});
  EXPECT_EQ(written_bytes(call, 4, tracee_), "abcd");
}

TEST_F(I386, SixtyFourBitsInTwoRegisters) {
  const std::uint64_t buffer = tracee_.put_raw("far");
  EXPECT_EQ(done(180, {3, buffer, 3, 0x10, 1}, 3), "pread64(3, \"far\", 3, 4294967312) = 3");
  EXPECT_EQ(done(181, {3, buffer, 3, 0xffffffff, 0xffffffff}, 3),
            "pwrite64(3, \"far\", 3, -1) = 3");
  const std::uint64_t path = tracee_.put_text("f");
  EXPECT_EQ(open(193, {path, 0, 2}), "truncate64(\"f\", 8589934592)");
  EXPECT_EQ(open(272, {3, 1, 0, 2, 0, 4}), "fadvise64_64(3, 1, 2, POSIX_FADV_DONTNEED)");
  EXPECT_EQ(open(324, {3, 0, 0, 1, 4096, 0}), "fallocate(3, 0, 4294967296, 4096)");
  const std::uint64_t position = tracee_.put<std::int64_t>(0x100000010);
  EXPECT_EQ(done(140, {3, 1, 0x10, position, 0}, 0),
            "_llseek(3, 4294967312, [4294967312], SEEK_SET) = 0");
  // A 32-bit off_t is signed.
  EXPECT_EQ(open(19, {3, 0xfffffff6, 2}), "lseek(3, -10, SEEK_END)");
  const std::uint64_t offset = tracee_.put<std::int32_t>(7);
  EXPECT_EQ(open(187, {4, 3, offset, 100}), "sendfile(4, 3, [7], 100)");
  EXPECT_EQ(open(239, {4, 3, position, 100}), "sendfile64(4, 3, [4294967312], 100)");
}

TEST_F(I386, BothWidthsOfTime) {
  const std::uint64_t brief = tracee_.put_array<std::int32_t>({2, 500});
  EXPECT_EQ(open(162, {brief, 0}), "nanosleep({tv_sec=2, tv_nsec=500}, NULL)");
  // The caller may leave anything above the 32 bits of the nanoseconds.
  const std::uint64_t wide =
      tracee_.put_array<std::uint64_t>({0x1'0000'0000, 0xabcd'0000'0000'01f4});
  EXPECT_EQ(open(407, {0, 0, wide, 0}),
            "clock_nanosleep_time64(CLOCK_REALTIME, 0, {tv_sec=4294967296, tv_nsec=500}, NULL)");
  const std::uint64_t word = tracee_.put<Word>(5);
  EXPECT_EQ(open(240, {word, 0x80, 5, brief}),
            "futex(" + to_text(Value{Address{base::RemoteAddr{word}}}) +
                ", FUTEX_WAIT_PRIVATE, 5, {tv_sec=2, tv_nsec=500})");
  const RawCall narrow = make_call(Abi::kI386, 240, {word, 0x80, 5, brief});
  ASSERT_TRUE(call_timeout(narrow, tracee_));
  EXPECT_EQ(call_timeout(narrow, tracee_)->value, base::Nanoseconds{2'000'000'500});
  const RawCall time64 = make_call(Abi::kI386, 422, {word, 0x80, 5, wide});
  ASSERT_TRUE(call_timeout(time64, tracee_));
  EXPECT_EQ(call_timeout(time64, tracee_)->value, base::Nanoseconds{4'294'967'296'000'000'500});
  const std::uint64_t timer = tracee_.put_array<std::int32_t>({1, 2, 3, 4});
  EXPECT_EQ(open(104, {0, timer, 0}),
            "setitimer(ITIMER_REAL, {it_interval={tv_sec=1, tv_usec=2}, "
            "it_value={tv_sec=3, tv_usec=4}}, NULL)");
}

TEST_F(I386, WhatAWaitIsOn) {
  const std::uint64_t set = tracee_.put_array<std::uint16_t>({3, 0, 1, 0, 4, 0, 4, 0});
  EXPECT_EQ(open(168, {set, 2, 0xffffffff}),
            "poll([{fd=3, events=POLLIN}, {fd=4, events=POLLOUT}], 2, -1)");
  EXPECT_FALSE(call_timeout(make_call(Abi::kI386, 168, {set, 2, 0xffffffff}), tracee_)->value);
  // Forty bits are two words of four bytes, and nothing is read beyond them.
  const std::uint64_t bits = tracee_.put_array<Word>({1U << 5, 1U << 7});
  const std::uint64_t time = tracee_.put_array<std::int32_t>({0, 0});
  EXPECT_EQ(open(142, {40, bits, 0, 0, time}),
            "_newselect(40, [5, 39], NULL, NULL, {tv_sec=0, tv_usec=0})");
  const RawCall call = make_call(Abi::kI386, 142, {40, bits, 0, 0, time});
  const auto fds = polled_fds(call, tracee_);
  ASSERT_EQ(fds.size(), 2U);
  EXPECT_EQ(fds[1].fd, 39);
  EXPECT_TRUE(is_nonblocking_probe(call, tracee_));
  // One word of a set at the very edge of a mapping.
  const std::uint64_t edge = tracee_.put_array<Word>({1U << 9});
  EXPECT_EQ(open(142, {10, edge, 0, 0, 0}), "_newselect(10, [9], NULL, NULL, NULL)");
}

TEST_F(I386, StatusLimitsSignalsAndLocks) {
  const std::uint64_t status = tracee_.put<std::int32_t>(3 << 8);
  EXPECT_EQ(done(7, {0xffffffff, status, 1}, 42),
            "waitpid(-1, [{WIFEXITED(s) && WEXITSTATUS(s) == 3}], WNOHANG) = 42");
  EXPECT_TRUE(is_nonblocking_probe(make_call(Abi::kI386, 7, {0xffffffff, status, 1}), tracee_));
  const std::uint64_t limit = tracee_.put_array<Word>({1024, 0xffffffff});
  EXPECT_EQ(done(191, {7, limit}, 0),
            "ugetrlimit(RLIMIT_NOFILE, {rlim_cur=1024, rlim_max=RLIM64_INFINITY}) = 0");
  const std::uint64_t wide = tracee_.put_array<std::uint64_t>({1024, 4096});
  EXPECT_EQ(done(340, {0, 7, 0, wide}, 0),
            "prlimit64(0, RLIMIT_NOFILE, NULL, {rlim_cur=1024, rlim_max=4096}) = 0");
  const std::uint64_t action = tracee_.put_array<Word>({0x8048000, 0x10000000, 0, 1U << 14, 1});
  EXPECT_EQ(open(174, {10, action, 0, 8}),
            "rt_sigaction(SIGUSR1, {sa_handler=0x8048000, sa_mask=[TERM RT_1], "
            "sa_flags=SA_RESTART, sa_restorer=NULL}, NULL, 8)");
  const std::uint64_t old_action = tracee_.put_array<Word>({1, 1U << 14, 0x10000000, 0});
  EXPECT_EQ(open(67, {10, old_action, 0}),
            "sigaction(SIGUSR1, {sa_handler=SIG_IGN, sa_mask=[TERM], sa_flags=SA_RESTART, "
            "sa_restorer=NULL}, NULL)");
  const std::uint64_t mask = tracee_.put<Word>(1U << 14);
  EXPECT_EQ(open(126, {0, mask, 0}), "sigprocmask(SIG_BLOCK, [TERM], NULL)");
  EXPECT_EQ(open(72, {0, 0, 1U << 14}), "sigsuspend(0, 0, [TERM])");
  // siginfo of a child: no hole before the union.
  const std::uint64_t info = tracee_.put_array<std::int32_t>({17, 0, 1, 42, 0, 3, 0, 0});
  EXPECT_EQ(done(284, {0, 0, info, 4, 0}, 0),
            "waitid(P_ALL, 0, {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=42, si_uid=0, "
            "si_status=3}, WEXITED, NULL) = 0");
}

TEST_F(I386, TwoFormsOfFlock) {
  const std::uint64_t narrow = tracee_.put_array<std::uint16_t>({1, 0, 16, 0, 5, 0, 0, 0});
  EXPECT_EQ(open(55, {3, 7, narrow}),
            "fcntl(3, F_SETLKW, {l_type=F_WRLCK, l_whence=SEEK_SET, l_start=16, l_len=5})");
  // struct flock64 is packed: the start follows the two shorts at once.
  const std::uint64_t packed =
      tracee_.put_array<std::uint16_t>({0, 0, 16, 0, 1, 0, 5, 0, 0, 0, 9, 0});
  EXPECT_EQ(open(221, {3, 14, packed}),
            "fcntl64(3, F_SETLKW64, {l_type=F_RDLCK, l_whence=SEEK_SET, l_start=4294967312, "
            "l_len=5})");
  EXPECT_EQ(done(221, {3, 12, packed}, 0),
            "fcntl64(3, F_GETLK64, {l_type=F_RDLCK, l_whence=SEEK_SET, l_start=4294967312, "
            "l_len=5, l_pid=9}) = 0");
  EXPECT_TRUE(is_nonblocking_probe(make_call(Abi::kI386, 221, {3, 13, packed}), tracee_));
  EXPECT_FALSE(is_nonblocking_probe(make_call(Abi::kX86_64, 72, {3, 13, packed}), tracee_));
}

TEST_F(I386, MessagesAndTheirDescriptors) {
  const Word text = low(tracee_.put_raw("hi"));
  const Word vector = low(tracee_.put_array<Word>({text, 2}));
  // Two descriptors: a header of twelve bytes, aligned to four.
  const Word control = low(tracee_.put_array<Word>({20, 1, 1, 7, 8}));
  const std::uint64_t header = tracee_.put_array<Word>({0, 0, vector, 1, control, 20, 0});
  EXPECT_EQ(done(370, {3, header, 0x4000}, 2),
            "sendmsg(3, {msg_name=NULL, msg_namelen=0, msg_iov=[{iov_base=\"hi\", iov_len=2}], "
            "msg_iovlen=1, msg_control=[{cmsg_len=20, cmsg_level=SOL_SOCKET, "
            "cmsg_type=SCM_RIGHTS, cmsg_data=[7, 8]}], msg_controllen=20, msg_flags=0}, "
            "MSG_NOSIGNAL) = 2");
  EXPECT_EQ(written_bytes(make_call(Abi::kI386, 370, {3, header, 0}), 2, tracee_), "hi");
}

TEST_F(I386, SocketcallIsTheCallItMakes) {
  const std::uint64_t pair = tracee_.put_array<std::int32_t>({5, 6});
  const std::uint64_t args = tracee_.put_array<Word>({1, 1, 0, low(pair)});
  EXPECT_EQ(done(102, {8, args}, 0), "socketpair(AF_UNIX, SOCK_STREAM, 0, [5, 6]) = 0");
  EXPECT_EQ(unfolded(make_call(Abi::kI386, 102, {8, args}), tracee_).number, 1008);

  const Word address = low(tracee_.put_raw(std::string_view{"\1\0/run/x\0", 9}));
  const std::uint64_t connect = tracee_.put_array<Word>({5, address, 9});
  EXPECT_EQ(open(102, {3, connect}), "connect(5, {sa_family=AF_UNIX, sun_path=\"/run/x\"}, 9)");
  const RawCall call = unfolded(make_call(Abi::kI386, 102, {3, connect}), tracee_);
  EXPECT_EQ(sys_of(call.abi, call.number), Sys::connect);
  EXPECT_EQ(io_fd(call), 5);
  EXPECT_TRUE(find_row(call.abi, call.number)->has(Trait::kMayBlock));
  // Once taken apart it stays so.
  const RawCall again = unfolded(call, tracee_);
  EXPECT_EQ(again.number, call.number);
  EXPECT_EQ(again.args, call.args);

  const std::uint64_t send = tracee_.put_array<Word>({5, low(tracee_.put_raw("text")), 4, 0});
  EXPECT_EQ(done(102, {9, send}, 4), "send(5, \"text\", 4, 0) = 4");
  const RawCall sent = unfolded(make_call(Abi::kI386, 102, {9, send}), tracee_);
  EXPECT_EQ(written_bytes(sent, 4, tracee_), "text");
}

TEST_F(I386, WhatCannotBeTakenApartStaysAsItIs) {
  EXPECT_EQ(open(102, {3, kBadAddress}), "socketcall(3, 0xdead0000)");
  EXPECT_EQ(open(102, {3, 0}), "socketcall(3, NULL)");
  const std::uint64_t args = tracee_.put_array<Word>({1, 2, 3, 4, 5, 6});
  for (const std::uint64_t which : {std::uint64_t{0}, std::uint64_t{21}, ~std::uint64_t{0}}) {
    EXPECT_EQ(unfolded(make_call(Abi::kI386, 102, {which, args}), tracee_).number, 102) << which;
  }
  EXPECT_EQ(unfolded(make_call(Abi::kI386, 117, {99, 1, 2, 3, args, 5}), tracee_).number, 117);
  EXPECT_EQ(unfolded(make_call(Abi::kI386, 90, {kBadAddress}), tracee_).number, 90);
  // The same numbers mean other things elsewhere.
  EXPECT_EQ(unfolded(make_call(Abi::kX86_64, 102, {3, args}), tracee_).number, 102);
}

TEST_F(I386, IpcIsTheCallItMakes) {
  const std::uint64_t operation = tracee_.put_array<std::uint16_t>({0, 0xffff, 04000});
  EXPECT_EQ(open(117, {1, 33, 1, 0, operation, 0}),
            "semop(33, [{sem_num=0, sem_op=-1, sem_flg=IPC_NOWAIT}], 1)");
  const std::uint64_t time = tracee_.put_array<std::int32_t>({1, 0});
  const RawCall timed =
      unfolded(make_call(Abi::kI386, 117, {4, 33, 1, 0, operation, time}), tracee_);
  EXPECT_EQ(sys_of(timed.abi, timed.number), Sys::semtimedop);
  EXPECT_EQ(call_timeout(timed, tracee_)->value, base::Nanoseconds{1'000'000'000});
  EXPECT_EQ(open(117, {2, 0, 1, 0600, 0, 0}), "semget(IPC_PRIVATE, 1, 0600)");
  const std::uint64_t value = tracee_.put<Word>(9);
  EXPECT_EQ(open(117, {3, 33, 0, 16, value, 0}), "semctl(33, 0, SETVAL, 9)");
  // msgrcv of version 0 has its buffer and type in memory, of version 1 in registers.
  const Word message = low(tracee_.put_array<Word>({2, 0x6968}));
  const std::uint64_t kludge = tracee_.put_array<Word>({message, 2});
  EXPECT_EQ(done(117, {12, 44, 2, 0, kludge, 0}, 2),
            "msgrcv(44, {mtype=2, mtext=\"hi\"}, 2, 2, 0) = 2");
  EXPECT_EQ(done(117, {0x1000c, 44, 2, 0, message, 2}, 2),
            "msgrcv(44, {mtype=2, mtext=\"hi\"}, 2, 2, 0) = 2");
}

TEST_F(I386, OldFormsOfMmapAndSelect) {
  const std::uint64_t args = tracee_.put_array<Word>({0, 4096, 1, 0x22, 0xffffffff, 0});
  EXPECT_EQ(done(90, {args}, 0xf7fd0000),
            "mmap(NULL, 4096, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0xf7fd0000");
  EXPECT_EQ(open(192, {0, 4096, 1, 2, 3, 1}), "mmap2(NULL, 4096, PROT_READ, MAP_PRIVATE, 3, 0x1)");
  const Word bits = low(tracee_.put_array<Word>({1U << 4}));
  const std::uint64_t select = tracee_.put_array<Word>({5, bits, 0, 0, 0});
  EXPECT_EQ(open(82, {select}), "select(5, [4], NULL, NULL, NULL)");
}

TEST_F(I386, CloneHasItsArgumentsInAnotherOrder) {
  EXPECT_EQ(open(120, {0x11, 0, 0, 0x1000, 0x2000}), "clone(SIGCHLD, NULL, NULL, 0x1000, 0x2000)");
  const SyscallRow* row = find_row(Abi::kI386, 120);
  EXPECT_EQ(row->args[3].name, "tls");
  EXPECT_EQ(row->args[4].name, "child_tidptr");
  EXPECT_EQ(find_row(Abi::kAarch64, "clone")->args[3].name, "tls");
  EXPECT_EQ(find_row(Abi::kX86_64, "clone")->args[3].name, "child_tidptr");
}

TEST(X32, IsNamedAndHasNarrowStructuresFrom512On) {
  constexpr std::int64_t kBit = 0x40000000;
  FakeTracee memory;
  const std::uint64_t text = memory.put_raw("abc");
  const std::uint64_t narrow = memory.put_array<Word>({low(text), 3});
  const RawCall writev = make_call(Abi::kX32, kBit | 516, {1, narrow, 1});
  EXPECT_EQ(render(decode(writev, std::nullopt, memory)),
            "x32:writev(1, [{iov_base=\"abc\", iov_len=3}], 1)");
  // Times have 64 bits in x32, and calls below 512 take the structures of x86-64.
  const std::uint64_t time = memory.put_array<std::uint64_t>({2, 500});
  EXPECT_EQ(render(decode(make_call(Abi::kX32, kBit | 35, {time, 0}), std::nullopt, memory)),
            "x32:nanosleep({tv_sec=2, tv_nsec=500}, NULL)");
  const RawCall timed = make_call(Abi::kX32, kBit | 523, {0, 0, time, 8});
  EXPECT_EQ(sys_of(timed.abi, timed.number), Sys::rt_sigtimedwait);
  EXPECT_EQ(call_timeout(timed, memory)->value, base::Nanoseconds{2'000'000'500});
  const RawCall unknown = make_call(Abi::kX32, kBit | 600, {1});
  EXPECT_EQ(decode(unknown, std::nullopt, memory).name, "x32:syscall_600");
}

TEST(Aarch64, HasItsOwnEpollEventsAndOpenFlags) {
  FakeTracee memory;
  struct {
    std::uint32_t events = 1, pad = 0;
    std::uint64_t data = 77;
  } event;
  const std::uint64_t at = memory.put(event);
  const RawCall control = make_call(Abi::kAarch64, 21, {4, 1, 5, at});
  EXPECT_EQ(render(decode(control, std::nullopt, memory)),
            "epoll_ctl(4, EPOLL_CTL_ADD, 5, {events=EPOLLIN, data={u32=77, u64=77}})");
  CapturedMemory kept;
  capture_enter(control, memory, {}, kept);
  EXPECT_EQ(render(decode(control, std::nullopt, kept)),
            render(decode(control, std::nullopt, memory)));
  const std::uint64_t path = memory.put_text("d");
  EXPECT_EQ(render(decode(make_call(Abi::kAarch64, 56, {minus(100), path, 040000}), std::nullopt,
                          memory)),
            "openat(AT_FDCWD, \"d\", O_RDONLY|O_DIRECTORY)");
  EXPECT_EQ(render(decode(make_call(Abi::kAarch64, 56, {minus(100), path, 0200001}), std::nullopt,
                          memory)),
            "openat(AT_FDCWD, \"d\", O_WRONLY|O_DIRECT)");
}

}  // namespace
}  // namespace stucktrace::syscalls::testing
