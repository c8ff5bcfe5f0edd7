#include "tracer/kernel/procfs.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/support/fake_proc.h"

namespace stucktrace::kernel {
namespace {

using base::Pid;
using base::Tid;
using model::FdMode;
using model::ResourceKind;

class ProcfsTest : public testing::Test {
 protected:
  test::FakeProc proc_;
  Procfs procfs_{proc_.root()};
};

TEST_F(ProcfsTest, ReadsTasksOfAProcess) {
  proc_.add({.pid = 42, .tid = 42, .comm = "main", .thread_count = 2});
  proc_.add({.pid = 42, .tid = 7, .comm = "worker", .state = 'D', .wchan = "pipe_write"});
  proc_.write("42/cmdline", std::string{"prog\0-x\0\0", 9});
  proc_.write("42/task/7/children", "9 8 ");
  EXPECT_EQ(procfs_.tasks(Pid{42}), (std::vector{Tid{7}, Tid{42}}));
  EXPECT_EQ(procfs_.stat(Pid{42})->comm, "main");
  EXPECT_EQ(procfs_.stat(Pid{42}, Tid{7})->state, 'D');
  EXPECT_EQ(procfs_.status(Pid{42}, Tid{7})->tgid, 42);
  EXPECT_EQ(procfs_.wchan(Pid{42}, Tid{7}), "pipe_write");
  EXPECT_EQ(procfs_.wchan(Pid{42}, Tid{42}), "");
  EXPECT_EQ(procfs_.comm(Pid{42}, Tid{7}), "worker");
  EXPECT_EQ(procfs_.cmdline(Pid{42}), (std::vector<std::string>{"prog", "-x", ""}));
  EXPECT_EQ(procfs_.children(Pid{42}, Tid{7}), (std::vector{Pid{8}, Pid{9}}));
  EXPECT_FALSE(*procfs_.syscall(Pid{42}, Tid{7}));
}

TEST_F(ProcfsTest, OnlyNumbersAreProcesses) {
  proc_.add({.pid = 42, .tid = 42});
  proc_.add({.pid = 5, .tid = 5});
  proc_.write("self/stat", "");
  proc_.write("0/stat", "");
  proc_.write("-3/stat", "");
  proc_.write("12x/stat", "");
  EXPECT_EQ(procfs_.processes(), (std::vector{Pid{5}, Pid{42}}));
}

TEST_F(ProcfsTest, AVanishedTaskIsOrdinary) {
  EXPECT_EQ(procfs_.stat(Pid{9}).error().kind, base::ErrorKind::kGone);
  EXPECT_EQ(procfs_.tasks(Pid{9}).error().kind, base::ErrorKind::kGone);
  EXPECT_EQ(procfs_.fds(Pid{9}, FdDetail::kLinks).error().kind, base::ErrorKind::kGone);
  EXPECT_EQ(procfs_.fdinfo(Pid{9}, 3).error().kind, base::ErrorKind::kGone);
}

TEST_F(ProcfsTest, ReadsNoMoreThanAsked) {
  proc_.write("big", std::string(10'000, 'x'));
  EXPECT_EQ(procfs_.text("big", 5000)->size(), 5000U);
  EXPECT_EQ(procfs_.text("big")->size(), 10'000U);
}

TEST_F(ProcfsTest, DescriptorsAreNamedByWhatTheyAre) {
  proc_.add({.pid = 42, .tid = 42});
  const std::string fifo = proc_.root() + "/fifo";
  const std::string file = proc_.root() + "/file";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  proc_.write("file", "x");
  proc_.add_fd(42, 42, 3, "pipe:[77]", O_WRONLY | O_NONBLOCK);
  proc_.add_fd(42, 42, 4, fifo, O_RDONLY | O_CLOEXEC);
  proc_.add_fd(42, 42, 5, file, O_RDWR);
  proc_.add_fd(42, 42, 6, "socket:[8]", O_RDWR);
  proc_.add_fd(42, 42, 7, "anon_inode:[eventfd]", O_RDWR, "eventfd-count: 0\neventfd-id: 12\n");
  proc_.add_fd(42, 42, 8, "anon_inode:[eventpoll]", O_RDWR);
  proc_.add_fd(42, 42, 9, "/dev/null", O_RDWR);
  proc_.add_fd(42, 42, 10, file, O_PATH);
  proc_.add_fd(42, 42, 12, "anon_inode:[pidfd]", O_RDWR, "Pid:\t99\n");
  const auto fds = procfs_.fds(Pid{42}, FdDetail::kLinks);
  ASSERT_TRUE(fds);
  ASSERT_EQ(fds->size(), 9U);
  const auto& [pipe, named, regular, socket, event, epoll, null, path, pidfd] =
      std::tie((*fds)[0], (*fds)[1], (*fds)[2], (*fds)[3], (*fds)[4], (*fds)[5], (*fds)[6],
               (*fds)[7], (*fds)[8]);
  EXPECT_EQ(pipe.fd, 3);
  EXPECT_EQ(pipe.resource, (model::ResourceId{ResourceKind::kPipe, 0, 77, 0}));
  EXPECT_EQ(pipe.mode, FdMode::kWrite);
  EXPECT_TRUE(pipe.nonblocking);
  EXPECT_FALSE(pipe.close_on_exec);
  struct stat info{};
  ASSERT_EQ(::stat(fifo.c_str(), &info), 0);
  EXPECT_EQ(named.resource, (model::ResourceId{ResourceKind::kFifo, info.st_dev, info.st_ino, 0}));
  EXPECT_EQ(named.mode, FdMode::kRead);
  EXPECT_TRUE(named.close_on_exec);
  EXPECT_EQ(named.label, fifo);
  EXPECT_EQ(regular.resource.kind, ResourceKind::kRegularFile);
  EXPECT_EQ(regular.mode, FdMode::kBoth);
  EXPECT_EQ(socket.resource, (model::ResourceId{ResourceKind::kOtherSocket, 0, 8, 0}));
  EXPECT_EQ(event.resource, (model::ResourceId{ResourceKind::kEventFd, 0, 12, 0}));
  EXPECT_EQ(epoll.resource, (model::ResourceId{ResourceKind::kEpoll, 42, 8, 0}));
  EXPECT_EQ(null.resource.kind, ResourceKind::kCharDevice);
  EXPECT_EQ(path.mode, FdMode::kNone);
  EXPECT_EQ(pidfd.resource, (model::ResourceId{ResourceKind::kPidFd, 0, 99, 0}));
  EXPECT_EQ(procfs_.fd(Pid{42}, 3, FdDetail::kLinks)->resource, pipe.resource);
  EXPECT_EQ(procfs_.fds(Pid{42}, FdDetail::kLinks, Tid{42})->size(), 9U);
}

TEST_F(ProcfsTest, ALowStackAloneDoesNotMakeATask32Bit) {
  const std::string line = "3 0x1 0x2 0x3 0x4 0x5 0x6 0xff00 0x8000\n";
  proc_.add({.pid = 42, .tid = 42, .syscall = line});
  proc_.write("42/exe", std::string{"\x7f"
                                    "ELF\x01\x01\x01\0\0\0\0\0\0\0\0\0",
                                    16});
  constexpr bool kX86 = syscalls::kNativeAbi == syscalls::Abi::kX86_64;
  EXPECT_EQ((*procfs_.syscall(Pid{42}, Tid{42}))->call.abi,
            kX86 ? syscalls::Abi::kI386 : syscalls::Abi::kUnknown);
  proc_.write("42/exe", std::string{"\x7f"
                                    "ELF\x02\x01\x01\0\0\0\0\0\0\0\0\0",
                                    16});
  EXPECT_EQ((*procfs_.syscall(Pid{42}, Tid{42}))->call.abi, syscalls::kNativeAbi);
}

TEST_F(ProcfsTest, AnX32CallIsKnownByItsNumber) {
  if (syscalls::kNativeAbi != syscalls::Abi::kX86_64) GTEST_SKIP() << "x32 exists on x86-64 alone";
  proc_.add({.pid = 42,
             .tid = 42,
             .syscall = "1073741824 0x1 0x2 0x3 0x4 0x5 0x6 0x7fff0000ff00 0x7f0000008000\n"});
  const auto line = procfs_.syscall(Pid{42}, Tid{42});
  EXPECT_EQ((*line)->call.abi, syscalls::Abi::kX32);
  EXPECT_EQ(syscalls::sys_of((*line)->call.abi, (*line)->call.number), syscalls::Sys::read);
  proc_.write("42/task/42/syscall", "-1 0x7fff0000ff00 0x7f0000008000\n");
  EXPECT_EQ((*procfs_.syscall(Pid{42}, Tid{42}))->call.abi, syscalls::kNativeAbi);
}

}  // namespace
}  // namespace stucktrace::kernel
