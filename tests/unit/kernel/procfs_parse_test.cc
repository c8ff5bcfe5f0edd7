#include "tracer/kernel/procfs_parse.h"

#include <gtest/gtest.h>

#include <string>

namespace stucktrace::kernel {
namespace {

using model::ResourceId;
using model::ResourceKind;

std::string stat_line(const std::string& comm) {
  return "42 (" + comm +
         ") S 7 42 40 34816 43 4194304 1 2 3 4 11 22 5 6 20 0 3 0 987654 1000 200 "
         "18446744073709551615 1 1 0 0 0 0 0 4096 0 0 0 0 17 1 0 0 0 0 0\n";
}

TEST(ParseStat, ReadsTheFieldsThatMatter) {
  const auto stat = parse_stat(stat_line("python3"));
  ASSERT_TRUE(stat);
  EXPECT_EQ(stat->pid, 42);
  EXPECT_EQ(stat->comm, "python3");
  EXPECT_EQ(stat->state, 'S');
  EXPECT_EQ(stat->parent, 7);
  EXPECT_EQ(stat->process_group, 42);
  EXPECT_EQ(stat->session, 40);
  EXPECT_EQ(stat->tty, 34816);
  EXPECT_EQ(stat->tty_foreground, 43);
  EXPECT_EQ(stat->flags, 4194304U);
  EXPECT_EQ(stat->user_ticks, 11U);
  EXPECT_EQ(stat->system_ticks, 22U);
  EXPECT_EQ(stat->thread_count, 3);
  EXPECT_EQ(stat->start_time, 987654U);
  EXPECT_EQ(stat->processor, 1);
}

TEST(ParseStat, ANameCannotPassForFields) {
  for (const std::string name : {") R 1 1 1", "a) R 1", "((", "))", "", "x\ny", ") R 1 (", " "}) {
    const auto stat = parse_stat(stat_line(name));
    ASSERT_TRUE(stat) << name;
    EXPECT_EQ(stat->comm, name);
    EXPECT_EQ(stat->state, 'S');
    EXPECT_EQ(stat->parent, 7);
  }
}

TEST(ParseStat, EveryTruncationIsRefusedOrWhole) {
  const std::string whole = stat_line("sh");
  // Up to the start time everything is needed; what follows may be missing.
  const std::size_t needed = whole.find(" 987654") + 7;
  for (std::size_t length = 0; length < whole.size(); ++length) {
    const auto stat = parse_stat(std::string_view{whole}.substr(0, length));
    if (length >= needed) {
      ASSERT_TRUE(stat) << length;
      EXPECT_EQ(stat->start_time, 987654U);
    } else if (stat) {
      // Cut inside the last number: shorter, never something else.
      EXPECT_GT(length, whole.find(" 987654") + 1);
    }
  }
}

TEST(ParseStat, RefusesWhatIsNoStat) {
  for (const char* text : {"", "()", "1 ()", "x (a) S", "-1 (a) S 1", "1 (a) SS 1 1 1",
                           "99999999999 (a) S 1 1 1", "1 (a) S 1 1 1 1 1 1 1 1 1 1 -3"}) {
    const auto stat = parse_stat(text);
    ASSERT_FALSE(stat) << text;
    EXPECT_EQ(stat.error().kind, base::ErrorKind::kMalformed);
  }
}

TEST(ParseStatus, ReadsKeysInAnyOrderAndSkipsOthers) {
  const auto status = parse_status(
      "Name:\tevil\\nTgid:\\t1\n"
      "Umask:\t0022\n"
      "Tgid:\t42\n"
      "TracerPid:\t9\n"
      "Uid:\t1000\t0\t0\t0\n"
      "NSpid:\t42\t7\t1\n"
      "SigBlk:\t0000000000000004\n"
      "SigIgn:\t0000000000001000\n"
      "SigCgt:\tfffffffe7ffbfeff\n"
      "CapEff:\t000001ffffffffff\n"
      "Seccomp:\t2\n"
      "voluntary_ctxt_switches:\t150\n"
      "nonvoluntary_ctxt_switches:\t545\n");
  ASSERT_TRUE(status);
  EXPECT_EQ(status->tgid, 42);
  EXPECT_EQ(status->tracer, 9);
  EXPECT_EQ(status->uid, 1000U);
  EXPECT_EQ(status->ns_pids, (std::vector<std::int32_t>{42, 7, 1}));
  EXPECT_EQ(status->sig_blocked, 4U);
  EXPECT_EQ(status->sig_ignored, 0x1000U);
  EXPECT_EQ(status->sig_caught, 0xfffffffe7ffbfeffU);
  EXPECT_EQ(status->cap_effective, 0x1ffffffffffU);
  EXPECT_EQ(status->seccomp, 2);
  EXPECT_EQ(status->voluntary_switches, 150U);
  EXPECT_EQ(status->involuntary_switches, 545U);
  EXPECT_FALSE(parse_status("Name:\tsh\n"));
  EXPECT_FALSE(parse_status(""));
}

TEST(ParseSyscall, ThreeForms) {
  const auto running = parse_syscall("running\n");
  ASSERT_TRUE(running);
  EXPECT_FALSE(*running);

  const auto blocked =
      parse_syscall("1 0x4 0x7f00 0x30d40 0x0 0x1 0x2 0x7ffe0e0d98b8 0x7feddf4a72ad\n");
  ASSERT_TRUE(blocked && *blocked);
  EXPECT_EQ((*blocked)->call.number, 1);
  EXPECT_EQ((*blocked)->call.args, (std::array<std::uint64_t, 6>{4, 0x7f00, 0x30d40, 0, 1, 2}));
  EXPECT_EQ((*blocked)->stack_pointer, 0x7ffe0e0d98b8U);
  EXPECT_EQ((*blocked)->program_counter, 0x7feddf4a72adU);

  const auto outside = parse_syscall("-1 0x7ffe 0x7fed\n");
  ASSERT_TRUE(outside && *outside);
  EXPECT_EQ((*outside)->call.number, -1);
  EXPECT_EQ((*outside)->stack_pointer, 0x7ffeU);
  EXPECT_EQ((*outside)->program_counter, 0x7fedU);

  for (const char* text : {"", "run", "1", "1 0x4 0x5", "-1", "-1 0x7", "0 z z z z z z z z",
                           "1 0x1 0x2 0x3 0x4 0x5 0x6 0x7"}) {
    EXPECT_FALSE(parse_syscall(text)) << text;
  }
}

TEST(ParseFdInfo, TellsTheFilesOfAnIoUring) {
  const FdInfo ring = parse_fdinfo(
      "SqMask:\t0x7\nSQEs:\t1\n    0: opcode:NOP, fd:0, flags:0, off:0, addr:0x0\nUserFiles:\t3\n"
      "    0: pipe:[30446]\n    2: /tmp/a\\040b\nUserBufs:\t1\n    0: 0x7f/4096\nPollList:\n");
  EXPECT_EQ(ring.registered_files, 3U);
  EXPECT_EQ(ring.registered_links, (std::vector<std::string>{"pipe:[30446]", "/tmp/a\\040b"}));
  // A kernel that gives the last part of a path has none for a pipe.
  const FdInfo older = parse_fdinfo("UserFiles:\t2\n    0: \n    1: <none>\nUserBufs:\t0\n");
  EXPECT_EQ(older.registered_links, (std::vector<std::string>{"", "<none>"}));
  EXPECT_FALSE(parse_fdinfo("flags:\t02\n").registered_files);
}

TEST(ParseFdInfo, TellsEachKindOfDescriptor) {
  const FdInfo plain = parse_fdinfo("pos:\t538\nflags:\t02100001\nmnt_id:\t27\nino:\t10963179\n");
  EXPECT_EQ(plain.position, 538U);
  EXPECT_EQ(plain.flags, 02100001U);
  EXPECT_EQ(plain.inode, 10963179U);

  const FdInfo event =
      parse_fdinfo("flags:\t02\neventfd-count:               1f\neventfd-id: 40\n");
  EXPECT_EQ(event.eventfd_count, 0x1fU);
  EXPECT_EQ(event.eventfd_id, 40U);

  const FdInfo timer = parse_fdinfo("clockid: 1\nit_value: (3, 250)\nit_interval: (0, 0)\n");
  EXPECT_EQ(timer.timerfd_value_ns, 3'000'000'250U);
  EXPECT_EQ(timer.timerfd_interval_ns, 0U);

  EXPECT_EQ(parse_fdinfo("sigmask:\t0000000000000400\n").signal_mask, 0x400U);
  EXPECT_EQ(parse_fdinfo("Pid:\t-1\nNSpid:\t-1\n").pidfd_pid, -1);
  EXPECT_EQ(parse_fdinfo("Pid:\t77\n").pidfd_pid, 77);
  EXPECT_EQ(parse_fdinfo("tty-index:\t5\n").tty_index, 5);
  EXPECT_EQ(parse_fdinfo("flags:\t02\nscm_fds: 3\n").unreceived_fds, 3U);
  EXPECT_FALSE(parse_fdinfo("flags:\t02\n").unreceived_fds);

  const FdInfo epoll = parse_fdinfo(
      "tfd:        5 events:       19 data:                9  pos:0 ino:2f sdev:f\n"
      "tfd:        bad\n"
      "tfd:       -3 events: 80000001 data: ffffffffffffffff  pos:0 ino:1 sdev:2\n");
  ASSERT_EQ(epoll.epoll.size(), 2U);
  EXPECT_EQ(epoll.epoll[0].fd, 5);
  EXPECT_EQ(epoll.epoll[0].events, 0x19U);
  EXPECT_EQ(epoll.epoll[0].data, 9U);
  EXPECT_EQ(epoll.epoll[0].inode, 0x2fU);
  EXPECT_EQ(epoll.epoll[0].device, 0xfU);
  EXPECT_EQ(epoll.epoll[1].events, 0x80000001U);

  const FdInfo locked = parse_fdinfo("lock:\t1: FLOCK  ADVISORY  WRITE 359 00:13:11691 0 EOF\n");
  ASSERT_EQ(locked.locks.size(), 1U);
  EXPECT_EQ(locked.locks[0].type, "FLOCK");
  EXPECT_EQ(locked.locks[0].mode, "WRITE");
  EXPECT_EQ(locked.locks[0].pid, 359);
  EXPECT_EQ(locked.locks[0].device_minor, 0x13U);
  EXPECT_EQ(locked.locks[0].inode, 11691U);
  EXPECT_FALSE(locked.locks[0].end);
}

TEST(ParseFdInfo, ATimerValueNeverOverflows) {
  EXPECT_EQ(parse_fdinfo("it_value: (99999999999999999, 5)\n").timerfd_value_ns, UINT64_MAX);
  EXPECT_FALSE(parse_fdinfo("it_value: (1, 1000000000)\n").timerfd_value_ns);
  EXPECT_FALSE(parse_fdinfo("it_value: (x, 1)\n").timerfd_value_ns);
  EXPECT_FALSE(parse_fdinfo("it_value: \n").timerfd_value_ns);
}

TEST(ParseLocks, WaitersAreMarkedAndBrokenLinesSkipped) {
  const auto locks = parse_locks(
      "1: POSIX  ADVISORY  WRITE 3568 fd:00:2531452 0 EOF\n"
      "1: -> POSIX  ADVISORY  WRITE 3569 fd:00:2531452 10 19\n"
      "1:  -> POSIX  ADVISORY  READ 3570 fd:00:2531452 10 19\n"
      "2: OFDLCK ADVISORY  READ -1 08:01:77 5 9\n"
      "3: POSIX  ADVISORY  WRITE 12 <none>:0 0 EOF\n"
      "4: POSIX  ADVISORY\n"
      "nonsense\n"
      "5: LEASE  ACTIVE    READ 8 00:2a:3 0 EOF");
  ASSERT_EQ(locks.size(), 5U);
  EXPECT_FALSE(locks[0].waiting);
  EXPECT_EQ(locks[0].device_major, 0xfdU);
  EXPECT_EQ(locks[0].id, 1U);
  EXPECT_TRUE(locks[1].waiting);
  EXPECT_EQ(locks[1].pid, 3569);
  EXPECT_EQ(locks[1].start, 10U);
  EXPECT_EQ(locks[1].end, 19U);
  EXPECT_TRUE(locks[2].waiting);
  EXPECT_EQ(locks[3].pid, -1);
  EXPECT_EQ(locks[4].type, "LEASE");
}

TEST(ParseMaps, ReadsPermissionsDevicesAndPaths) {
  const auto maps = parse_maps(
      "55d0-55d4 r-xp 00002000 fd:01 123   /usr/bin/with  two spaces (deleted)\n"
      "7f00-7f10 rw-s 00000000 00:01 99 /dev/zero (deleted)\n"
      "7f10-7f20 rw-p 00000000 00:00 0 \n"
      "7f20-7f30 ---p 00000000 00:00 0 /tmp/new\\012line\n"
      "7f30-7f20 r--p 00000000 00:00 0 /backwards\n"
      "7f40-7f50 r- 0 0:0 0 /short\n"
      "7f50");
  ASSERT_EQ(maps.size(), 4U);
  EXPECT_EQ(maps[0].start, 0x55d0U);
  EXPECT_EQ(maps[0].end, 0x55d4U);
  EXPECT_TRUE(maps[0].readable && !maps[0].writable && maps[0].executable && !maps[0].shared);
  EXPECT_EQ(maps[0].offset, 0x2000U);
  EXPECT_EQ(maps[0].device_major, 0xfdU);
  EXPECT_EQ(maps[0].inode, 123U);
  EXPECT_EQ(maps[0].path, "/usr/bin/with  two spaces (deleted)");
  EXPECT_TRUE(maps[1].shared && maps[1].writable);
  EXPECT_EQ(maps[2].path, "");
  EXPECT_EQ(maps[3].path, "/tmp/new\nline");
}

TEST(ParseFdLink, ObjectsAndPaths) {
  EXPECT_EQ(parse_fd_link("pipe:[25725]"), (ResourceId{ResourceKind::kPipe, 0, 25725, 0}));
  EXPECT_EQ(parse_fd_link("socket:[9]"), (ResourceId{ResourceKind::kOtherSocket, 0, 9, 0}));
  EXPECT_EQ(parse_fd_link("pidfd:[3]"), (ResourceId{ResourceKind::kPidFd, 0, 3, 0}));
  EXPECT_EQ(parse_fd_link("anon_inode:[eventpoll]").kind, ResourceKind::kEpoll);
  EXPECT_EQ(parse_fd_link("anon_inode:[eventfd]").kind, ResourceKind::kEventFd);
  EXPECT_EQ(parse_fd_link("anon_inode:[timerfd]").kind, ResourceKind::kTimerFd);
  EXPECT_EQ(parse_fd_link("anon_inode:[signalfd]").kind, ResourceKind::kSignalFd);
  EXPECT_EQ(parse_fd_link("anon_inode:[pidfd]").kind, ResourceKind::kPidFd);
  EXPECT_EQ(parse_fd_link("anon_inode:[io_uring]").kind, ResourceKind::kIoUring);
  EXPECT_EQ(parse_fd_link("anon_inode:inotify").kind, ResourceKind::kInotify);
  EXPECT_EQ(parse_fd_link("anon_inode:kvm-vm").kind, ResourceKind::kOtherAnon);
  EXPECT_EQ(parse_fd_link("net:[4026531840]").kind, ResourceKind::kOtherAnon);
  // A file may be called like an object, but its path never begins like one.
  for (const char* path : {"/tmp/pipe:[5]", "/pipe:[5]", "(unreachable)/x:[5]", "", "pipe:[x]",
                           "pipe:[5", "pipe:[]", "socket:[99999999999999999999]"}) {
    EXPECT_EQ(parse_fd_link(path).kind, ResourceKind::kUnknown) << path;
  }
}

}  // namespace
}  // namespace stucktrace::kernel
