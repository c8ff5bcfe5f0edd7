#include "syscalls/flags.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>

#include "syscalls/decode.h"

namespace stucktrace::syscalls {
namespace {

std::string text(ArgKind kind, std::uint64_t raw) {
  const ConstantSet* set = constant_set(kind);
  return set == nullptr ? "no set" : to_text(named_value(*set, raw));
}
std::string text(NameSet set, std::uint64_t raw) {
  return to_text(named_value(constant_set(set), raw));
}
std::uint64_t bits(long long value) {
  return static_cast<std::uint64_t>(value);
}

TEST(Flags, CombineWithUnknownBitsAtTheEnd) {
  EXPECT_EQ(text(ArgKind::kOpenFlags, 0), "O_RDONLY");
  EXPECT_EQ(text(ArgKind::kOpenFlags, bits(O_WRONLY | O_CREAT | O_CLOEXEC)),
            "O_WRONLY|O_CREAT|O_CLOEXEC");
  EXPECT_EQ(text(ArgKind::kOpenFlags, bits(O_RDWR) | 0x80000000U), "O_RDWR|0x80000000");
  EXPECT_EQ(text(ArgKind::kOpenFlags, bits(O_RDWR | O_SYNC)), "O_RDWR|O_SYNC");
  EXPECT_EQ(text(ArgKind::kOpenFlags, bits(O_RDWR | O_DSYNC)), "O_RDWR|O_DSYNC");
  EXPECT_EQ(text(ArgKind::kMsgFlags, 0), "0");
}

TEST(Flags, ZeroHasItsNameWhereItHasOne) {
  EXPECT_EQ(text(ArgKind::kAccessMode, 0), "F_OK");
  EXPECT_EQ(text(ArgKind::kAccessMode, 6), "R_OK|W_OK");
  EXPECT_EQ(text(ArgKind::kProt, 0), "PROT_NONE");
  EXPECT_EQ(text(ArgKind::kProt, bits(PROT_READ | PROT_EXEC)), "PROT_READ|PROT_EXEC");
}

TEST(Flags, FieldsOfSeveralBits) {
  EXPECT_EQ(text(ArgKind::kMapFlags, bits(MAP_PRIVATE | MAP_ANONYMOUS)),
            "MAP_PRIVATE|MAP_ANONYMOUS");
  EXPECT_EQ(text(ArgKind::kMapFlags, 3), "MAP_SHARED_VALIDATE");
  EXPECT_EQ(text(ArgKind::kSockType, bits(SOCK_DGRAM | SOCK_CLOEXEC)), "SOCK_DGRAM|SOCK_CLOEXEC");
  EXPECT_EQ(text(ArgKind::kFlockOp, 6), "LOCK_EX|LOCK_NB");
  EXPECT_EQ(text(ArgKind::kFlockOp, 8), "LOCK_UN");
}

TEST(Flags, SymbolsAndUnknownNumbers) {
  EXPECT_EQ(text(ArgKind::kWhence, 2), "SEEK_END");
  EXPECT_EQ(text(ArgKind::kWhence, 77), "77");
  EXPECT_EQ(text(ArgKind::kClockid, 1), "CLOCK_MONOTONIC");
  EXPECT_EQ(text(ArgKind::kClockid, bits(-6)), "-6");
  EXPECT_EQ(text(NameSet::kSiCode, bits(-6)), "SI_TKILL");
}

TEST(Flags, OnlyTheBitsTheKernelLooksAt) {
  EXPECT_EQ(text(ArgKind::kWhence, 0xffffffff00000002U), "SEEK_END");
  EXPECT_EQ(text(ArgKind::kMsgFlags, 0xffffffff00000040U), "MSG_DONTWAIT");
  EXPECT_EQ(text(ArgKind::kCloneFlags, 0x100000000U), "CLONE_CLEAR_SIGHAND");
}

TEST(Flags, AgreeWithTheHeaders) {
  struct Row {
    ArgKind kind;
    long long value;
    std::string_view name;
  };
  const Row rows[] = {
      {ArgKind::kFcntlCmd, F_DUPFD_CLOEXEC, "F_DUPFD_CLOEXEC"},
      {ArgKind::kFcntlCmd, F_OFD_SETLKW, "F_OFD_SETLKW"},
      {ArgKind::kFcntlCmd, F_SETPIPE_SZ, "F_SETPIPE_SZ"},
      {ArgKind::kSockFamily, AF_NETLINK, "AF_NETLINK"},
      {ArgKind::kMsgFlags, MSG_NOSIGNAL, "MSG_NOSIGNAL"},
      {ArgKind::kMadvise, MADV_DONTNEED, "MADV_DONTNEED"},
      {ArgKind::kWaitOptions, WNOHANG, "WNOHANG"},
      {ArgKind::kWaitidType, P_PID, "P_PID"},
      {ArgKind::kCloneFlags, CLONE_VFORK, "CLONE_VFORK"},
      {ArgKind::kSpliceFlags, SPLICE_F_NONBLOCK, "SPLICE_F_NONBLOCK"},
      {ArgKind::kIoctlCmd, FIONREAD, "FIONREAD"},
      {ArgKind::kIoctlCmd, TIOCGWINSZ, "TIOCGWINSZ"},
      {ArgKind::kIoctlCmd, TIOCGPTN, "TIOCGPTN"},
      {ArgKind::kFutexOp, FUTEX_CMP_REQUEUE, "FUTEX_CMP_REQUEUE"},
      {ArgKind::kEpollOp, EPOLL_CTL_MOD, "EPOLL_CTL_MOD"},
  };
  for (const Row& row : rows) EXPECT_EQ(text(row.kind, bits(row.value)), row.name);
  EXPECT_EQ(text(NameSet::kPollEvents, bits(POLLIN | POLLHUP)), "POLLIN|POLLHUP");
  EXPECT_EQ(text(NameSet::kEpollEvents, bits(EPOLLIN) | bits(EPOLLONESHOT)),
            "EPOLLIN|EPOLLONESHOT");
  EXPECT_EQ(text(NameSet::kEpollEvents, bits(EPOLLET)), "EPOLLET");
}

TEST(Flags, KindsThatAreNoSet) {
  EXPECT_EQ(constant_set(ArgKind::kFd), nullptr);
  EXPECT_EQ(constant_set(ArgKind::kRaw), nullptr);
}

}  // namespace
}  // namespace stucktrace::syscalls
