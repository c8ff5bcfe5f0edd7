#include <gtest/gtest.h>
#include <linux/futex.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <time.h>

#include "syscalls/decode.h"
#include "tests/unit/syscalls/fake_tracee.h"

namespace stucktrace::syscalls::testing {
namespace {

TEST(DecodeSync, FutexOperations) {
  FakeTracee memory;
  const std::uint64_t timeout = memory.put_array<std::int64_t>({5, 7});
  EXPECT_EQ(open_text(memory, "futex", {0x7000, FUTEX_WAIT_PRIVATE, 2, 0, 1, 2}),
            "futex(0x7000, FUTEX_WAIT_PRIVATE, 2, NULL)");
  EXPECT_EQ(open_text(memory, "futex", {0x7000, FUTEX_WAIT, 2, timeout}),
            "futex(0x7000, FUTEX_WAIT, 2, {tv_sec=5, tv_nsec=7})");
  EXPECT_EQ(open_text(memory, "futex", {0x7000, 0x189, 0, timeout, 0, 0xffffffff}),
            "futex(0x7000, FUTEX_WAIT_BITSET_PRIVATE|FUTEX_CLOCK_REALTIME, 0, {tv_sec=5, "
            "tv_nsec=7}, FUTEX_BITSET_MATCH_ANY)");
  EXPECT_EQ(open_text(memory, "futex", {0x7000, 0x109, 4711, 0, 0, 0xffffffff}),
            "futex(0x7000, FUTEX_WAIT_BITSET|FUTEX_CLOCK_REALTIME, 4711, NULL, "
            "FUTEX_BITSET_MATCH_ANY)");
  EXPECT_EQ(done_text(memory, "futex", {0x7000, FUTEX_WAKE_PRIVATE, 1, 9, 9, 9}, 1),
            "futex(0x7000, FUTEX_WAKE_PRIVATE, 1) = 1");
  EXPECT_EQ(open_text(memory, "futex", {0x7000, FUTEX_CMP_REQUEUE, 1, 2147483647, 0x8000, 5}),
            "futex(0x7000, FUTEX_CMP_REQUEUE, 1, 2147483647, 0x8000, 0x5)");
  EXPECT_EQ(open_text(memory, "futex", {0x7000, FUTEX_LOCK_PI_PRIVATE, 0, timeout}),
            "futex(0x7000, FUTEX_LOCK_PI_PRIVATE, {tv_sec=5, tv_nsec=7})");
  EXPECT_EQ(open_text(memory, "futex", {0x7000, FUTEX_UNLOCK_PI_PRIVATE}),
            "futex(0x7000, FUTEX_UNLOCK_PI_PRIVATE)");
  EXPECT_EQ(open_text(memory, "futex", {0x7000, FUTEX_WAIT, 2, kBadAddress}),
            "futex(0x7000, FUTEX_WAIT, 2, 0xdead0000)");
  EXPECT_EQ(open_text(memory, "futex", {0, 0x60, 1, 0, 0, 0}), "futex(NULL, 0x60, 1, 0, NULL, 0)");
}

TEST(DecodeSync, NewFutexCalls) {
  FakeTracee memory;
  struct Waiter {
    std::uint64_t value = 0, address = 0;
    std::uint32_t flags = 0, reserved = 0;
  };
  const std::uint64_t waiters = memory.put_array<Waiter>({{1, 0x7000, 0x82, 0}, {2, 0x8000, 2, 0}});
  EXPECT_EQ(open_text(memory, "futex_waitv", {waiters, 2, 0, 0, CLOCK_MONOTONIC}),
            "futex_waitv([{val=1, uaddr=0x7000, flags=FUTEX2_SIZE_U32|FUTEX2_PRIVATE}, {val=2, "
            "uaddr=0x8000, flags=FUTEX2_SIZE_U32}], 2, 0, NULL, CLOCK_MONOTONIC)");
  EXPECT_EQ(open_text(memory, "futex_wait", {0x7000, 1, 0xff, 0x82, 0, CLOCK_REALTIME}),
            "futex_wait(0x7000, 0x1, 0xff, FUTEX2_SIZE_U32|FUTEX2_PRIVATE, NULL, CLOCK_REALTIME)");
  EXPECT_EQ(open_text(memory, "futex_requeue", {waiters, 0, 1, 1}),
            "futex_requeue([{val=1, uaddr=0x7000, flags=FUTEX2_SIZE_U32|FUTEX2_PRIVATE}, {val=2, "
            "uaddr=0x8000, flags=FUTEX2_SIZE_U32}], 0, 1, 1)");
}

TEST(DecodeSync, Semaphores) {
  FakeTracee memory;
  const std::uint64_t ops = memory.put_array<sembuf>({{0, -1, SEM_UNDO}, {1, 2, IPC_NOWAIT}});
  const std::uint64_t timeout = memory.put_array<std::int64_t>({1, 0});
  EXPECT_EQ(open_text(memory, "semtimedop", {9, ops, 2, timeout}),
            "semtimedop(9, [{sem_num=0, sem_op=-1, sem_flg=SEM_UNDO}, {sem_num=1, sem_op=2, "
            "sem_flg=IPC_NOWAIT}], 2, {tv_sec=1, tv_nsec=0})");
  EXPECT_EQ(open_text(memory, "semop", {9, kBadAddress, 2}), "semop(9, 0xdead0000, 2)");
  EXPECT_EQ(open_text(memory, "semctl", {9, 0, SETVAL, 5}), "semctl(9, 0, SETVAL, 5)");
  EXPECT_EQ(open_text(memory, "semget", {0, 1, IPC_CREAT | 0600}),
            "semget(IPC_PRIVATE, 1, IPC_CREAT|0600)");
}

TEST(DecodeSync, MessageQueues) {
  FakeTracee memory;
  struct {
    std::int64_t type = 3;
    char text[8] = {'h', 'e', 'l', 'l', 'o', '!', '!', '!'};
  } message;
  const std::uint64_t address = memory.put(message);
  EXPECT_EQ(open_text(memory, "msgsnd", {4, address, 5, IPC_NOWAIT}),
            "msgsnd(4, {mtype=3, mtext=\"hello\"}, 5, IPC_NOWAIT)");
  EXPECT_EQ(done_text(memory, "msgrcv", {4, address, 8, 0, 0}, 2),
            "msgrcv(4, {mtype=3, mtext=\"he\"}, 8, 0, 0) = 2");
  EXPECT_EQ(open_text(memory, "msgrcv", {4, address, 8, minus(2), 0}),
            "msgrcv(4, 0x10000, 8, -2, 0)");
  EXPECT_EQ(open_text(memory, "msgctl", {4, 13, 0}), "msgctl(4, MSG_STAT_ANY, NULL)");
  const std::uint64_t attr = memory.put_array<std::int64_t>({0, 10, 8192, 0});
  EXPECT_EQ(open_text(memory, "mq_open", {memory.put_text("q"), 0x42, 0600, attr}),
            "mq_open(\"q\", O_RDWR|O_CREAT, 0600, {mq_flags=O_RDONLY, mq_maxmsg=10, "
            "mq_msgsize=8192, mq_curmsgs=0})");
  EXPECT_EQ(open_text(memory, "mq_timedsend", {5, memory.put_raw("hi"), 2, 1, 0}),
            "mq_timedsend(5, \"hi\", 2, 1, NULL)");
}

TEST(DecodeTime, SleepsAndTimers) {
  FakeTracee memory;
  const std::uint64_t time = memory.put_array<std::int64_t>({1, 500});
  const std::uint64_t left = memory.put_array<std::int64_t>({0, 3});
  EXPECT_EQ(open_text(memory, "nanosleep", {time, left}),
            "nanosleep({tv_sec=1, tv_nsec=500}, 0x12000)");
  EXPECT_EQ(done_text(memory, "nanosleep", {time, left}, -516),
            "nanosleep({tv_sec=1, tv_nsec=500}, {tv_sec=0, tv_nsec=3})");
  EXPECT_EQ(done_text(memory, "nanosleep", {time, left}, 0),
            "nanosleep({tv_sec=1, tv_nsec=500}, 0x12000) = 0");
  EXPECT_EQ(open_text(memory, "clock_nanosleep", {CLOCK_MONOTONIC, TIMER_ABSTIME, time, 0}),
            "clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, {tv_sec=1, tv_nsec=500}, NULL)");
  const std::uint64_t timer = memory.put_array<std::int64_t>({1, 0, 2, 0});
  EXPECT_EQ(open_text(memory, "timerfd_settime", {5, 1, timer, 0}),
            "timerfd_settime(5, TFD_TIMER_ABSTIME, {it_interval={tv_sec=1, tv_nsec=0}, "
            "it_value={tv_sec=2, tv_nsec=0}}, NULL)");
  const std::uint64_t now = memory.put_array<std::int64_t>({0, 0x3fffffff, 5, 6});
  EXPECT_EQ(open_text(memory, "utimensat", {3, 0, now, 0}),
            "utimensat(3, NULL, [UTIME_NOW, {tv_sec=5, tv_nsec=6}], 0)");
  EXPECT_EQ(done_text(memory, "clock_gettime", {1, time}, 0),
            "clock_gettime(CLOCK_MONOTONIC, {tv_sec=1, tv_nsec=500}) = 0");
}

TEST(DecodeTime, HostileFractionsDoNotOverflow) {
  FakeTracee memory;
  const std::uint64_t time = memory.put_array<std::int64_t>({INT64_MAX, INT64_MAX});
  const std::string text = open_text(memory, "select", {0, 0, 0, 0, time});
  EXPECT_NE(text.find("tv_sec=9223372036854775807"), std::string::npos) << text;
}

}  // namespace
}  // namespace stucktrace::syscalls::testing
