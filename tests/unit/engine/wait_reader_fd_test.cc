#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "tests/unit/engine/wait_reader_fixture.h"

namespace stucktrace::engine {
namespace {

using model::FdMode;
using model::OnFd;
using model::OnOutside;
using model::OnSignal;
using model::OnTask;
using model::OnUnknown;
using model::ResourceKind;
using model::Wait;
using model::WaitKind;

TEST_F(WaitReaderTest, StateGoesBeforeTheCall) {
  thread_.pulse.state = 'T';
  Wait wait = read(SYS_read, {3});
  EXPECT_EQ(wait.kind, WaitKind::kStopped);
  EXPECT_EQ(all_on<OnSignal>(wait).size(), 1U);

  thread_.pulse.state = 't';
  thread_.tracer = 77;
  wait = read(SYS_read, {3});
  EXPECT_EQ(wait.kind, WaitKind::kStopped);
  ASSERT_EQ(all_on<OnTask>(wait).size(), 1U);
  EXPECT_EQ(all_on<OnTask>(wait)[0].pid, base::Pid{77});

  thread_.tracer = 900;  // our own stop
  EXPECT_EQ(read(SYS_read, {3}).kind, WaitKind::kRunning);

  thread_.pulse.state = 'R';
  EXPECT_EQ(read(SYS_read, {3}).kind, WaitKind::kRunning);
  thread_.pulse.state = 'Z';
  EXPECT_TRUE(read(SYS_read, {3}).on.empty());
}

TEST_F(WaitReaderTest, NoCallAtAll) {
  thread_.pulse.line = std::optional<model::SyscallLine>{};
  EXPECT_EQ(read().kind, WaitKind::kRunning);  // on a CPU by now
  EXPECT_EQ(read(-1).kind, WaitKind::kOther);
  thread_.wchan = "handle_userfault";
  EXPECT_EQ(all_on<OnUnknown>(read(-1))[0].because, "page fault in handle_userfault");
  thread_.pulse.state = 'D';
  EXPECT_EQ(read(-1).kind, WaitKind::kDisk);
  EXPECT_EQ(read(SYS_write, {3}).kind, WaitKind::kDisk);
}

TEST_F(WaitReaderTest, WithoutPermissionTheFunctionSleptInGivesTheKind) {
  thread_.pulse.line = model::unknown("no ptrace permission");
  thread_.wchan = "anon_pipe_write";
  const Wait wait = read();
  EXPECT_EQ(wait.kind, WaitKind::kPipeWrite);
  EXPECT_EQ(all_on<OnUnknown>(wait)[0].because, "no ptrace permission");
  thread_.wchan = "";
  EXPECT_EQ(read().kind, WaitKind::kOther);
}

TEST_F(WaitReaderTest, AnUnknownCallIsNoError) {
  thread_.wchan = "some_function";
  const Wait wait = read(9999);
  EXPECT_EQ(wait.kind, WaitKind::kOther);
  EXPECT_EQ(all_on<OnUnknown>(wait)[0].because, "sleeps in some_function");
}

TEST_F(WaitReaderTest, ReadAndWriteByWhatTheDescriptorIs) {
  has_fd(3, ResourceKind::kPipe, 77);
  has_fd(4, ResourceKind::kTty, 88);
  has_fd(5, ResourceKind::kRegularFile, 99);
  has_fd(6, ResourceKind::kOtherSocket, 100);
  Wait wait = read(SYS_write, {3, 0x1000, 5});
  EXPECT_EQ(wait.kind, WaitKind::kPipeWrite);
  ASSERT_EQ(all_on<OnFd>(wait).size(), 1U);
  EXPECT_EQ(all_on<OnFd>(wait)[0].resource.inode, 77U);
  EXPECT_EQ(all_on<OnFd>(wait)[0].direction, FdMode::kWrite);
  EXPECT_EQ(read(SYS_readv, {3}).kind, WaitKind::kPipeRead);
  EXPECT_EQ(read(SYS_read, {4}).kind, WaitKind::kTtyRead);
  EXPECT_EQ(read(SYS_read, {5}).kind, WaitKind::kDisk);
  wait = read(SYS_recvfrom, {6});
  EXPECT_EQ(wait.kind, WaitKind::kOther);
  EXPECT_EQ(all_on<OnOutside>(wait).size(), 1U);
  wait = read(SYS_read, {55});
  EXPECT_EQ(all_on<OnUnknown>(wait)[0].because, "descriptor 55 is not open any more");
  process_.fds = nullptr;
  wait = read(SYS_read, {55});
  EXPECT_EQ(all_on<OnUnknown>(wait)[0].because, "the process's descriptors could not be read");
}

TEST_F(WaitReaderTest, ADescriptorOpenedSinceIsReadAgain) {
  proc_.add_fd(42, 42, 9, "pipe:[5]", O_RDONLY);
  const Wait wait = read(SYS_read, {9});
  EXPECT_EQ(wait.kind, WaitKind::kPipeRead);
  EXPECT_EQ(all_on<OnFd>(wait)[0].resource.inode, 5U);
}

TEST_F(WaitReaderTest, SpliceWaitsOnBothItsEnds) {
  has_fd(3, ResourceKind::kPipe, 77);
  has_fd(4, ResourceKind::kPipe, 78);
  thread_.wchan = "anon_pipe_write";
  Wait wait = read(SYS_splice, {3, 0, 4});
  EXPECT_EQ(wait.kind, WaitKind::kPipeWrite);
  const auto on = all_on<OnFd>(wait);
  ASSERT_EQ(on.size(), 2U);
  EXPECT_EQ(on[0].direction, FdMode::kRead);
  EXPECT_EQ(on[1].direction, FdMode::kWrite);
  thread_.wchan = "";
  EXPECT_EQ(read(SYS_splice, {3, 0, 4}).kind, WaitKind::kPipeRead);
}

TEST_F(WaitReaderTest, SpliceDoesNotWaitForWhatIsAlwaysReady) {
  has_fd(3, ResourceKind::kCharDevice, 5);
  has_fd(4, ResourceKind::kPipe, 78);
  has_fd(5, ResourceKind::kRegularFile, 6);
  proc_.link("42/task/42/fd/3", "/dev/zero");
  Wait wait = read(SYS_splice, {3, 0, 4});
  EXPECT_EQ(wait.on.size(), 1U);
  EXPECT_EQ(all_on<OnFd>(wait).size(), 1U);
  EXPECT_EQ(wait.kind, WaitKind::kPipeWrite);
  EXPECT_EQ(read(SYS_sendfile, {4, 5}).on.size(), 1U);
}

TEST_F(WaitReaderTest, SpliceFromADeviceThatMayWait) {
  has_fd(3, ResourceKind::kCharDevice, 5);
  has_fd(4, ResourceKind::kPipe, 78);
  proc_.link("42/task/42/fd/3", "/dev/ptmx");
  EXPECT_EQ(all_on<OnOutside>(read(SYS_splice, {3, 0, 4})).size(), 1U);
}

kernel::SocketInfo tcp_socket(std::uint64_t inode, const std::string& local, bool listening) {
  kernel::SocketInfo socket;
  socket.kind = ResourceKind::kTcpSocket;
  socket.inode = inode;
  socket.local = local;
  socket.listening = listening;
  return socket;
}

sockaddr_in port_80_of(const char* host) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(80);
  ::inet_pton(AF_INET, host, &address.sin_addr);
  return address;
}

TEST_F(WaitReaderTest, ATcpConnectNamesAListenerOfThisMachineOnly) {
  sockets_.add(tcp_socket(7, "0.0.0.0:80", true));
  sockets_.add(tcp_socket(8, "10.0.0.1:5000", false));
  has_fd(3, ResourceKind::kTcpSocket, 8);
  const model::ResourceId own{ResourceKind::kTcpSocket, 0, 8, 0};
  const auto connect_to = [&](std::uint64_t at, const char* host) {
    remember(at, port_80_of(host));
    return read(SYS_connect, {3, at, sizeof(sockaddr_in)});
  };
  // Another machine, although a listener here takes that port on any address.
  EXPECT_EQ(all_on<OnOutside>(connect_to(0x1000, "93.184.216.34")).size(), 1U);
  EXPECT_TRUE(notes_.listeners.empty());
  for (const auto& [at, host] : {std::pair{0x2000, "127.0.0.1"}, {0x3000, "10.0.0.1"}}) {
    const Wait wait = connect_to(static_cast<std::uint64_t>(at), host);
    EXPECT_TRUE(all_on<OnOutside>(wait).empty());
    EXPECT_EQ(notes_.listeners[own], std::vector<std::uint64_t>{7});
    // Requests are repeated and then given up: it ends by itself.
    EXPECT_EQ(wait.timeout, std::chrono::seconds{131});
    notes_.listeners.clear();
  }
}

TEST_F(WaitReaderTest, AUnixConnectNamesTheListenerOfThatFile) {
  // Two programs that listen at "socket", each in a directory of its own.
  proc_.write("here/socket", "");
  proc_.write("there/socket", "");
  proc_.link("42/task/42/cwd", proc_.root() + "/there");
  proc_.link("42/task/42/root", proc_.root());
  const auto listens = [&](std::uint64_t inode, const char* file) {
    struct stat info{};
    ASSERT_EQ(::stat((proc_.root() + file).c_str(), &info), 0);
    kernel::SocketInfo listener;
    listener.kind = ResourceKind::kUnixSocket;
    listener.inode = inode;
    listener.listening = true;
    listener.local = "socket";
    listener.file_device = info.st_dev;
    listener.file_inode = static_cast<std::uint32_t>(info.st_ino);
    sockets_.add(listener);
  };
  listens(7, "/here/socket");
  listens(8, "/there/socket");
  has_fd(3, ResourceKind::kUnixSocket, 9);
  const model::ResourceId own{ResourceKind::kUnixSocket, 0, 9, 0};
  const auto connect_to = [&](const char* path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::string_view{path}.copy(&address.sun_path[0], sizeof address.sun_path - 1);
    remember(0x1000, address);
    notes_.listeners.clear();
    return read(SYS_connect, {3, 0x1000, sizeof address});
  };
  EXPECT_TRUE(all_on<OnOutside>(connect_to("socket")).empty());
  EXPECT_EQ(notes_.listeners[own], std::vector<std::uint64_t>{8});
  connect_to("/here/socket");
  EXPECT_EQ(notes_.listeners[own], std::vector<std::uint64_t>{7});
  EXPECT_EQ(all_on<OnOutside>(connect_to("/gone/socket")).size(), 1U);
  EXPECT_TRUE(notes_.listeners.empty());
}

TEST_F(WaitReaderTest, PollSkipsNegativeNumbersAndTellsDirections) {
  has_fd(3, ResourceKind::kPipe, 77, FdMode::kRead);
  has_fd(4, ResourceKind::kPipe, 78, FdMode::kWrite);
  const std::array<pollfd, 4> entries{pollfd{3, POLLIN, 0}, pollfd{-1, POLLIN, 0},
                                      pollfd{4, POLLIN | POLLOUT, 0}, pollfd{4, 0, 0}};
  remember(0x1000, entries);
  const Wait wait = read(SYS_poll, {0x1000, 4, 250});
  EXPECT_EQ(wait.kind, WaitKind::kMultiplex);
  EXPECT_EQ(wait.timeout, base::Nanoseconds{250'000'000});
  const auto on = all_on<OnFd>(wait);
  ASSERT_EQ(on.size(), 4U);
  EXPECT_EQ(on[0].direction, FdMode::kRead);
  EXPECT_EQ(on[1].direction, FdMode::kRead);
  EXPECT_EQ(on[2].direction, FdMode::kWrite);
  EXPECT_EQ(on[3].direction, FdMode::kWrite);  // only errors: of its own end
  EXPECT_FALSE(read(SYS_poll, {0x1000, 4, ~0ULL}).timeout);
}

TEST_F(WaitReaderTest, PollOfUnreadableOrEndlessMemoryIsBounded) {
  Wait wait = read(SYS_poll, {0xdead000, 3, ~0ULL});
  EXPECT_EQ(all_on<OnUnknown>(wait).size(), 1U);
  wait = read(SYS_poll, {0xdead000, ~0ULL, ~0ULL});
  EXPECT_EQ(all_on<OnUnknown>(wait).size(), 1U);
  wait = read(SYS_poll, {0, 0, 50});
  EXPECT_EQ(wait.kind, WaitKind::kSleep);
  EXPECT_TRUE(wait.on.empty());
  wait = read(SYS_poll, {0, 0, ~0ULL});
  EXPECT_EQ(all_on<OnSignal>(wait).size(), 1U);
}

TEST_F(WaitReaderTest, PollOfTimersSignalsAndProcesses) {
  has_fd(3, ResourceKind::kTimerFd, 3);
  has_fd(4, ResourceKind::kSignalFd, 4);
  has_fd(5, ResourceKind::kPidFd, 99);
  has_fd(6, ResourceKind::kInotify, 6);
  has_fd(7, ResourceKind::kTimerFd, 7);
  has_fdinfo(3, "it_value: (2, 0)\n");
  has_fdinfo(5, "Pid:\t99\n");
  has_fdinfo(7, "it_value: (0, 0)\n");
  std::array<pollfd, 5> entries{};
  for (int i = 0; i < 5; ++i) entries[static_cast<std::size_t>(i)] = {3 + i, POLLIN, 0};
  remember(0x1000, entries);
  const Wait wait = read(SYS_poll, {0x1000, 5, ~0ULL});
  EXPECT_EQ(wait.remaining, base::Nanoseconds{2'000'000'000});
  EXPECT_EQ(all_on<OnSignal>(wait).size(), 1U);
  ASSERT_EQ(all_on<OnTask>(wait).size(), 1U);
  EXPECT_EQ(all_on<OnTask>(wait)[0].pid, base::Pid{99});
  EXPECT_EQ(all_on<OnOutside>(wait).size(), 1U);
  EXPECT_EQ(all_on<OnUnknown>(wait).size(), 1U);  // the disarmed timer
}

TEST_F(WaitReaderTest, SelectReadsThreeSets) {
  has_fd(3, ResourceKind::kPipe, 77, FdMode::kRead);
  has_fd(70, ResourceKind::kPipe, 78, FdMode::kWrite);
  fd_set readers;
  FD_ZERO(&readers);
  FD_SET(3, &readers);
  fd_set writers;
  FD_ZERO(&writers);
  FD_SET(70, &writers);
  FD_SET(80, &writers);  // beyond nfds: leftover, not looked at
  remember(0x1000, readers);
  remember(0x2000, writers);
  remember(0x3000, std::array<std::int64_t, 2>{1, 500'000});
  const Wait wait = read(SYS_select, {71, 0x1000, 0x2000, 0, 0x3000});
  const auto on = all_on<OnFd>(wait);
  ASSERT_EQ(on.size(), 2U);
  EXPECT_EQ(on[0].fd, 3);
  EXPECT_EQ(on[0].direction, FdMode::kRead);
  EXPECT_EQ(on[1].fd, 70);
  EXPECT_EQ(on[1].direction, FdMode::kWrite);
  EXPECT_EQ(wait.timeout, base::Nanoseconds{1'500'000'000});
  // The same bytes are nanoseconds to pselect.
  EXPECT_EQ(read(SYS_pselect6, {71, 0x1000, 0x2000, 0, 0x3000}).timeout,
            base::Nanoseconds{1'000'500'000});
  EXPECT_EQ(read(SYS_select, {0, 0, 0, 0, 0x3000}).kind, WaitKind::kSleep);
}

TEST_F(WaitReaderTest, SelectTakesAnyNumberOfMicroseconds) {
  remember(0x3000, std::array<std::int64_t, 2>{1, 19'500'000});
  EXPECT_EQ(read(SYS_select, {0, 0, 0, 0, 0x3000}).timeout, std::chrono::milliseconds{20'500});
}

TEST_F(WaitReaderTest, AMaskForTheTimeOfTheWaitLetsSignalsIn) {
  has_fd(3, ResourceKind::kPipe, 77, FdMode::kRead);
  remember(0x1000, pollfd{3, POLLIN, 0});
  remember(0x2000, std::array<std::uint64_t, 2>{0x5000, 8});
  remember(0x2010, std::array<std::uint64_t, 2>{0, 8});
  EXPECT_TRUE(all_on<OnSignal>(read(SYS_ppoll, {0x1000, 1, 0, 0})).empty());
  EXPECT_EQ(all_on<OnSignal>(read(SYS_ppoll, {0x1000, 1, 0, 0x5000, 8})).size(), 1U);
  fd_set readers;
  FD_ZERO(&readers);
  FD_SET(3, &readers);
  remember(0x3000, readers);
  EXPECT_EQ(all_on<OnSignal>(read(SYS_pselect6, {4, 0x3000, 0, 0, 0, 0x2000})).size(), 1U);
  EXPECT_TRUE(all_on<OnSignal>(read(SYS_pselect6, {4, 0x3000, 0, 0, 0, 0x2010})).empty());
  EXPECT_TRUE(all_on<OnSignal>(read(SYS_pselect6, {4, 0x3000, 0, 0, 0, 0})).empty());
  has_fd(5, ResourceKind::kEpoll, 0);
  has_fdinfo(5, "pos:\t0\n");
  EXPECT_EQ(all_on<OnSignal>(read(SYS_epoll_pwait, {5, 0, 1, ~0ULL, 0x5000})).size(), 1U);
  EXPECT_TRUE(all_on<OnSignal>(read(SYS_epoll_pwait, {5, 0, 1, ~0ULL, 0})).empty());
}

TEST_F(WaitReaderTest, ACallThatAnotherHasToAnswerIsNotWhatItIsAbout) {
  has_fd(3, ResourceKind::kPipe, 77, FdMode::kRead);
  for (const char* wchan : {"seccomp_do_user_notification.isra.0", "handle_userfault"}) {
    thread_.wchan = wchan;
    const Wait wait = read(SYS_read, {3});
    EXPECT_EQ(wait.kind, WaitKind::kOther);
    EXPECT_EQ(all_on<OnUnknown>(wait).size(), 1U);
    EXPECT_TRUE(all_on<OnFd>(wait).empty());
  }
}

TEST_F(WaitReaderTest, SocketsMayHaveATimeOut) {
  kernel::SocketInfo socket;
  socket.kind = ResourceKind::kUnixSocket;
  socket.inode = 1;
  socket.peer = 2;
  socket.stream = true;
  sockets_.add(socket);
  has_fd(3, ResourceKind::kUnixSocket, 1);
  has_fd(4, ResourceKind::kPipe, 77, FdMode::kRead);
  EXPECT_FALSE(read(SYS_recvfrom, {3}).timeout);
  socket_limits_ = {.receive = std::chrono::seconds{20}, .send = std::chrono::seconds{30}};
  EXPECT_EQ(read(SYS_recvfrom, {3}).timeout, std::chrono::seconds{20});
  EXPECT_EQ(read(SYS_sendto, {3}).timeout, std::chrono::seconds{30});
  EXPECT_EQ(read(SYS_connect, {3, 0, 0}).timeout, std::chrono::seconds{30});
  EXPECT_FALSE(read(SYS_read, {4}).timeout);
}

TEST_F(WaitReaderTest, ADatagramGoesToTheReceiverThatTheCallNames) {
  for (const bool stream : {false, true}) {
    kernel::SocketInfo socket;
    socket.kind = ResourceKind::kUnixSocket;
    socket.inode = stream ? 1 : 2;
    socket.peer = 9;
    socket.stream = stream;
    sockets_.add(socket);
  }
  has_fd(3, ResourceKind::kUnixSocket, 1);
  has_fd(4, ResourceKind::kUnixSocket, 2);
  remember(0x1000, std::uint64_t{0x5000});  // msg_name
  remember(0x2000, std::uint64_t{0});
  const auto unknowns = [this](long call, std::array<std::uint64_t, 6> args) {
    return all_on<OnUnknown>(read(call, args)).size();
  };
  EXPECT_EQ(unknowns(SYS_sendto, {4, 0, 0, 0, 0x5000, 20}), 1U);
  EXPECT_EQ(unknowns(SYS_sendto, {4, 0, 0, 0, 0, 0}), 0U);
  EXPECT_EQ(unknowns(SYS_sendto, {3, 0, 0, 0, 0x5000, 20}), 0U);
  EXPECT_EQ(unknowns(SYS_sendmsg, {4, 0x1000}), 1U);
  EXPECT_EQ(unknowns(SYS_sendmsg, {4, 0x2000}), 0U);
}

std::string target_line(int fd, unsigned events, unsigned inode) {
  return fmt::format("tfd: {:8} events: {:8x} data: {:16x}  pos:0 ino:{:x} sdev:f\n", fd, events,
                     fd, inode);
}

TEST_F(WaitReaderTest, EpollTrustsInodesNotNumbers) {
  has_fd(3, ResourceKind::kPipe, 77, FdMode::kRead);
  has_fd(4, ResourceKind::kPipe, 78, FdMode::kRead);
  has_fd(9, ResourceKind::kPipe, 55, FdMode::kRead);
  has_fdinfo(10, target_line(3, EPOLLIN, 77) +               // as it says
                     target_line(4, EPOLLIN, 55) +           // moved to descriptor 9
                     target_line(5, EPOLLIN, 66) +           // closed here
                     target_line(3, EPOLLIN | EPOLLET, 1) +  // number used again
                     target_line(4, EPOLLONESHOT, 78));      // fired, not armed again
  const Wait wait = read(SYS_epoll_wait, {10, 0x1000, 8, 1000});
  EXPECT_EQ(wait.kind, WaitKind::kMultiplex);
  EXPECT_EQ(wait.timeout, base::Nanoseconds{1'000'000'000});
  const auto on = all_on<OnFd>(wait);
  ASSERT_EQ(on.size(), 2U);
  EXPECT_EQ(on[0].fd, 3);
  EXPECT_EQ(on[1].fd, 9);
  EXPECT_EQ(all_on<OnUnknown>(wait).size(), 2U);
}

TEST_F(WaitReaderTest, NestedEpollSetsEndEvenInACircle) {
  has_fd(3, ResourceKind::kPipe, 77, FdMode::kRead);
  has_fd(10, ResourceKind::kEpoll, 10);
  has_fd(11, ResourceKind::kEpoll, 11);
  has_fdinfo(10, "ino:\t1038\n" + target_line(11, EPOLLIN, 1038));
  has_fdinfo(11, "ino:\t1038\n" + target_line(3, EPOLLIN, 77));
  Wait wait = read(SYS_epoll_wait, {10, 0, 8, ~0ULL});
  ASSERT_EQ(all_on<OnFd>(wait).size(), 1U);
  EXPECT_EQ(all_on<OnFd>(wait)[0].fd, 3);
  has_fdinfo(11, "ino:\t1038\n" + target_line(10, EPOLLIN, 1038));
  wait = read(SYS_epoll_wait, {10, 0, 8, ~0ULL});
  EXPECT_EQ(all_on<OnUnknown>(wait).size(), 1U);
  EXPECT_TRUE(all_on<OnFd>(wait).empty());
}

TEST_F(WaitReaderTest, AnEmptyEpollSetIsNotAProof) {
  has_fdinfo(10, "pos:\t0\n");
  EXPECT_EQ(all_on<OnUnknown>(read(SYS_epoll_wait, {10, 0, 8, ~0ULL})).size(), 1U);
  EXPECT_TRUE(read(SYS_epoll_wait, {10, 0, 8, 5}).on.empty());
}

TEST_F(WaitReaderTest, RestartedCallsAreRecognisedBySleepAndRegisters) {
  has_fd(3, ResourceKind::kPipe, 77, FdMode::kRead);
  remember(0x1000, pollfd{3, POLLIN, 0});
  remember(0x2000, std::array<std::int64_t, 2>{7, 0});
  thread_.wchan = "poll_schedule_timeout.constprop.0";
  EXPECT_EQ(all_on<OnFd>(read(SYS_restart_syscall, {0x1000, 1, 500})).size(), 1U);
  thread_.wchan = "hrtimer_nanosleep";
  EXPECT_EQ(read(SYS_restart_syscall, {0x2000}).timeout, base::Nanoseconds{7'000'000'000});
  EXPECT_EQ(read(SYS_restart_syscall, {1, 0, 0x2000}).timeout, base::Nanoseconds{7'000'000'000});
  thread_.wchan = "futex_do_wait";
  EXPECT_EQ(read(SYS_restart_syscall, {0x3000, 0x80, 2, 0}).kind, WaitKind::kFutex);
  thread_.wchan = "";
  EXPECT_EQ(read(SYS_restart_syscall, {0x1000, 1, 500}).kind, WaitKind::kOther);
}

TEST_F(WaitReaderTest, SocketsWaitForPeersClientsOrTheWorld) {
  const auto add = [&](std::uint64_t inode, auto&& change) {
    kernel::SocketInfo socket;
    socket.kind = ResourceKind::kTcpSocket;
    socket.inode = inode;
    change(socket);
    sockets_.add(socket);
  };
  add(1, [](auto& socket) { socket.peer = 2; });
  add(3, [](auto& socket) { socket.listening = true; });
  add(4, [](auto& socket) {
    socket.peer_outside = true;
    socket.remote = "93.184.216.34:443";
  });
  add(5, [](auto& socket) {
    socket.kind = ResourceKind::kUnixSocket;
    socket.stream = false;
  });
  has_fd(1, ResourceKind::kTcpSocket, 1);
  has_fd(3, ResourceKind::kTcpSocket, 3);
  has_fd(4, ResourceKind::kTcpSocket, 4);
  has_fd(5, ResourceKind::kUnixSocket, 5);
  has_fd(6, ResourceKind::kUnixSocket, 6);
  EXPECT_TRUE(all_on<OnOutside>(read(SYS_recvfrom, {1})).empty());
  EXPECT_EQ(read(SYS_recvfrom, {1}).kind, WaitKind::kTcpRead);
  EXPECT_EQ(all_on<OnOutside>(read(SYS_accept4, {3}))[0].who, "a new client");
  EXPECT_EQ(all_on<OnOutside>(read(SYS_recvfrom, {4}))[0].who, "93.184.216.34:443");
  EXPECT_EQ(all_on<OnOutside>(read(SYS_recvmsg, {5}))[0].who, "any sender");
  EXPECT_EQ(all_on<OnUnknown>(read(SYS_recvmsg, {6})).size(), 1U);  // not in the table
}

TEST_F(WaitReaderTest, OpeningAFileThatIsNoFifoIsDisk) {
  proc_.link("42/task/42/root", proc_.root());
  proc_.write("some/file", "x");
  remember_text(0x1000, "/some/file");
  EXPECT_EQ(read(SYS_openat, {static_cast<std::uint64_t>(AT_FDCWD), 0x1000, O_RDONLY}).kind,
            WaitKind::kDisk);
  remember_text(0x2000, "/no/such/file");
  EXPECT_EQ(read(SYS_open, {0x2000, O_RDONLY}).kind, WaitKind::kOther);
  EXPECT_EQ(read(SYS_open, {0x9000, O_RDONLY}).kind, WaitKind::kOther);  // unreadable path
}

}  // namespace
}  // namespace stucktrace::engine
