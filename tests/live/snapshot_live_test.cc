#include <arpa/inet.h>
#include <fmt/format.h>
#include <mqueue.h>
#include <poll.h>
#include <pty.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <vector>

#include "tests/live/snapshot_fixture.h"

// Waits on descriptors, seen from outside in real processes that are not stopped for it.

namespace stucktrace::test {
namespace {

using model::FdMode;
using model::OnFd;
using model::ResourceKind;
using model::WaitKind;

// Writes until the kernel makes it wait.
void fill(int fd) {
  const std::vector<char> bytes(4097, 'x');
  while (::write(fd, bytes.data(), bytes.size()) > 0) {
  }
}

void read_byte(int fd) {
  char byte = 0;
  static_cast<void>(::read(fd, &byte, 1));
}

TEST_F(SnapshotTest, AFullPipeIsAFactNotACount) {
  Pipe pipe;
  const Blocked child{[&] {
    pipe.read.reset();
    fill(pipe.write.get());
  }};
  const auto snapshot = take_waiting(child.pid(), WaitKind::kPipeWrite);
  const auto* thread = waiting(snapshot, child.pid(), WaitKind::kPipeWrite);
  const auto* on = first_on<OnFd>(thread);
  ASSERT_NE(on, nullptr);
  EXPECT_EQ(on->fd, pipe.write.get());
  EXPECT_EQ(on->direction, FdMode::kWrite);
  EXPECT_TRUE(thread->call_text.starts_with(fmt::format("write({}<pipe:[", on->fd)))
      << thread->call_text;
  const auto* pipe_now = resource(snapshot, on->resource);
  ASSERT_NE(pipe_now, nullptr);
  EXPECT_EQ(pipe_now->full, model::Known<bool>{true});
  EXPECT_EQ(pipe_now->capacity, model::Known<std::uint64_t>{65536});
  ASSERT_TRUE(pipe_now->queued);
  EXPECT_LT(*pipe_now->queued, 65536U);  // slots, not bytes: pipe(7)
  EXPECT_TRUE(pipe_now->holders_complete);
  EXPECT_TRUE(holds(*pipe_now, self(), FdMode::kRead));
  EXPECT_TRUE(holds(*pipe_now, child.pid(), FdMode::kWrite));
  EXPECT_FALSE(holds(*pipe_now, child.pid(), FdMode::kRead));
  // The holder of the other end is in the picture, but not in the tree.
  const model::Process* holder = snapshot->find(self());
  ASSERT_NE(holder, nullptr);
  EXPECT_FALSE(holder->in_tree);
  EXPECT_EQ(snapshot->find(child.pid())->role, "P1");
  EXPECT_EQ(status_field(child.pid(), "TracerPid"), "0");
}

TEST_F(SnapshotTest, AnEmptyPipeIsNotReadable) {
  Pipe pipe;
  const Blocked child{[&] { read_byte(pipe.read.get()); }};
  const auto snapshot = take_waiting(child.pid(), WaitKind::kPipeRead);
  const auto* on = first_on<OnFd>(waiting(snapshot, child.pid(), WaitKind::kPipeRead));
  ASSERT_NE(on, nullptr);
  const auto* pipe_now = resource(snapshot, on->resource);
  ASSERT_NE(pipe_now, nullptr);
  EXPECT_EQ(pipe_now->readable, model::Known<bool>{false});
  EXPECT_EQ(pipe_now->queued, model::Known<std::uint64_t>{0});
  // The reader's own copy of the write end is what keeps the end of file away.
  EXPECT_TRUE(holds(*pipe_now, child.pid(), FdMode::kWrite));
}

TEST_F(SnapshotTest, LookingAtAFifoDoesNotWakeIt) {
  const TempDir directory;
  const std::string path = directory.file("queue");
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  const Blocked child{[&] { static_cast<void>(::open(path.c_str(), O_RDONLY)); }};
  const Blocked other{[&] { static_cast<void>(::open(path.c_str(), O_RDONLY)); }};
  ASSERT_NE(take_waiting(other.pid(), WaitKind::kFifoOpen), nullptr);
  const auto snapshot = take_waiting(child.pid(), WaitKind::kFifoOpen);
  const auto* on = first_on<OnFd>(waiting(snapshot, child.pid(), WaitKind::kFifoOpen));
  ASSERT_NE(on, nullptr);
  EXPECT_EQ(on->resource.kind, ResourceKind::kFifo);
  EXPECT_EQ(on->direction, FdMode::kRead);
  const auto* fifo = resource(snapshot, on->resource);
  ASSERT_NE(fifo, nullptr);
  EXPECT_EQ(fifo->label, path);
  EXPECT_TRUE(holds(*fifo, child.pid(), FdMode::kRead));
  EXPECT_TRUE(holds(*fifo, other.pid(), FdMode::kRead));  // blocked in open too
  // Still there after having been looked at.
  waiting(take(child.pid()), child.pid(), WaitKind::kFifoOpen);
}

TEST_F(SnapshotTest, AUnixSocketNamesItsPeer) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
  const base::UniqueFd ours{ends[0]};
  base::UniqueFd theirs{ends[1]};
  const Blocked child{[&] {
    ::close(ours.get());
    fill(theirs.get());
  }};
  theirs.reset();
  const auto snapshot = take_waiting(child.pid(), WaitKind::kUnixWrite);
  const auto* on = first_on<OnFd>(waiting(snapshot, child.pid(), WaitKind::kUnixWrite));
  ASSERT_NE(on, nullptr);
  const auto* socket = resource(snapshot, on->resource);
  ASSERT_NE(socket, nullptr);
  EXPECT_EQ(socket->full, model::Known<bool>{true});
  ASSERT_TRUE(socket->peer);
  const auto* peer = resource(snapshot, *socket->peer);
  ASSERT_NE(peer, nullptr);
  EXPECT_TRUE(holds(*peer, self(), FdMode::kBoth));
  EXPECT_FALSE(holds(*peer, child.pid(), FdMode::kBoth));
}

base::UniqueFd listen_unix(const std::string& path, int backlog, sockaddr_un& address) {
  base::UniqueFd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  address = {};
  address.sun_family = AF_UNIX;
  path.copy(&address.sun_path[0], sizeof address.sun_path - 1);
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  if (::bind(fd.get(), generic, sizeof address) != 0 || ::listen(fd.get(), backlog) != 0) return {};
  return fd;
}

TEST_F(SnapshotTest, AConnectToAFullBacklogNamesTheListener) {
  const TempDir directory;
  sockaddr_un address{};
  const base::UniqueFd listener = listen_unix(directory.file("socket"), 0, address);
  ASSERT_TRUE(listener.valid());
  const Blocked child{[&] {
    while (true) {
      const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
      static_cast<void>(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address));
    }
  }};
  const auto snapshot = take_waiting(child.pid(), WaitKind::kConnect);
  const auto* on = first_on<OnFd>(waiting(snapshot, child.pid(), WaitKind::kConnect));
  ASSERT_NE(on, nullptr);
  const auto* socket = resource(snapshot, on->resource);
  ASSERT_TRUE(socket != nullptr && socket->peer);
  const auto* peer = resource(snapshot, *socket->peer);
  ASSERT_NE(peer, nullptr);
  EXPECT_TRUE(peer->listening);
  EXPECT_EQ(peer->backlog, 0U);
  EXPECT_EQ(peer->backlog_queued, 1U);
  EXPECT_TRUE(holds(*peer, self(), FdMode::kBoth));
}

TEST_F(SnapshotTest, AnAcceptWaitsForSomebodyOutside) {
  const TempDir directory;
  sockaddr_un address{};
  const base::UniqueFd listener = listen_unix(directory.file("socket"), 5, address);
  const Blocked child{[&] { ::accept(listener.get(), nullptr, nullptr); }};
  const auto snapshot = take_waiting(child.pid(), WaitKind::kAccept);
  const auto* thread = waiting(snapshot, child.pid(), WaitKind::kAccept);
  const auto* on = first_on<OnFd>(thread);
  ASSERT_NE(on, nullptr);
  EXPECT_TRUE(resource(snapshot, on->resource)->listening);
  EXPECT_NE(first_on<model::OnOutside>(thread), nullptr);
}

// A connection to ourselves over loopback.
struct TcpPair {
  explicit TcpPair(bool accepted) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    listener.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    client.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ok = ::bind(listener.get(), generic, length) == 0 && ::listen(listener.get(), 5) == 0 &&
         ::getsockname(listener.get(), generic, &length) == 0 &&
         ::connect(client.get(), generic, length) == 0;
    if (accepted) server.reset(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  }
  bool ok = false;
  base::UniqueFd listener;
  base::UniqueFd client;
  base::UniqueFd server;
};

TEST_F(SnapshotTest, ALoopbackTcpPeerIsFound) {
  TcpPair pair{true};
  ASSERT_TRUE(pair.ok);
  const Blocked child{[&] {
    pair.server.reset();
    read_byte(pair.client.get());
  }};
  const auto snapshot = take_waiting(child.pid(), WaitKind::kTcpRead);
  const auto* on = first_on<OnFd>(waiting(snapshot, child.pid(), WaitKind::kTcpRead));
  ASSERT_NE(on, nullptr);
  const auto* socket = resource(snapshot, on->resource);
  ASSERT_TRUE(socket != nullptr && socket->peer);
  EXPECT_FALSE(socket->peer_outside);
  const auto* peer = resource(snapshot, *socket->peer);
  EXPECT_FALSE(peer->listening);
  EXPECT_TRUE(holds(*peer, self(), FdMode::kBoth));
  EXPECT_FALSE(holds(*peer, child.pid(), FdMode::kBoth));
}

TEST_F(SnapshotTest, AnUnacceptedTcpConnectionBelongsToItsListener) {
  const TcpPair pair{false};
  ASSERT_TRUE(pair.ok);
  const Blocked child{[&] { read_byte(pair.client.get()); }};
  const auto snapshot = take_waiting(child.pid(), WaitKind::kTcpRead);
  const auto* on = first_on<OnFd>(waiting(snapshot, child.pid(), WaitKind::kTcpRead));
  ASSERT_NE(on, nullptr);
  const auto* socket = resource(snapshot, on->resource);
  ASSERT_TRUE(socket != nullptr && socket->peer);
  const auto* peer = resource(snapshot, *socket->peer);
  ASSERT_NE(peer, nullptr);
  EXPECT_TRUE(peer->unaccepted);
  EXPECT_FALSE(peer->listening);
  EXPECT_EQ(peer->backlog_queued, 1U);
  EXPECT_TRUE(holds(*peer, self(), FdMode::kBoth));
}

TEST_F(SnapshotTest, ATerminalReadNamesTheTerminalAndItsMaster) {
  int master = -1;
  int slave = -1;
  ASSERT_EQ(::openpty(&master, &slave, nullptr, nullptr, nullptr), 0);
  const base::UniqueFd own_master{master};
  const base::UniqueFd own_slave{slave};
  const Blocked child{[&] { read_byte(slave); }};
  const auto snapshot = take_waiting(child.pid(), WaitKind::kTtyRead);
  const auto* on = first_on<OnFd>(waiting(snapshot, child.pid(), WaitKind::kTtyRead));
  ASSERT_NE(on, nullptr);
  EXPECT_EQ(on->resource.kind, ResourceKind::kTty);
  const auto* terminal = resource(snapshot, on->resource);
  ASSERT_TRUE(terminal != nullptr && terminal->peer);
  const auto* other_side = resource(snapshot, *terminal->peer);
  ASSERT_NE(other_side, nullptr);
  EXPECT_EQ(other_side->id.kind, ResourceKind::kPtyMaster);
  EXPECT_TRUE(holds(*other_side, child.pid(), FdMode::kBoth));  // inherited over the fork
}

TEST_F(SnapshotTest, PollListsWhatItWatchesAndItsTimeout) {
  Pipe first;
  Pipe second;
  const Blocked child{[&] {
    std::array<pollfd, 3> entries{pollfd{.fd = first.read.get(), .events = POLLIN, .revents = 0},
                                  pollfd{.fd = -1, .events = POLLIN, .revents = 0},
                                  pollfd{.fd = second.read.get(), .events = POLLIN, .revents = 0}};
    ::poll(entries.data(), entries.size(), 3'600'000);
  }};
  const auto snapshot = take_waiting(child.pid(), WaitKind::kMultiplex);
  const auto* thread = waiting(snapshot, child.pid(), WaitKind::kMultiplex);
  ASSERT_NE(thread, nullptr);
  ASSERT_EQ(thread->wait.on.size(), 2U);
  EXPECT_EQ(std::get<OnFd>(thread->wait.on[0]).fd, first.read.get());
  EXPECT_EQ(std::get<OnFd>(thread->wait.on[1]).fd, second.read.get());
  EXPECT_EQ(thread->wait.timeout, base::Nanoseconds{std::chrono::hours{1}});
}

TEST_F(SnapshotTest, APollIsKnownAgainAfterAStop) {
  Pipe pipe;
  const Blocked child{[&] {
    pollfd entry{.fd = pipe.read.get(), .events = POLLIN, .revents = 0};
    ::poll(&entry, 1, 3'600'000);
  }};
  ASSERT_NE(take_waiting(child.pid(), WaitKind::kMultiplex), nullptr);
  ::kill(child.pid().value(), SIGSTOP);
  const auto stopped = take_waiting(child.pid(), WaitKind::kStopped);
  waiting(stopped, child.pid(), WaitKind::kStopped);
  ::kill(child.pid().value(), SIGCONT);
  // The call is restart_syscall now, with the old registers.
  const auto snapshot = take_waiting(child.pid(), WaitKind::kMultiplex);
  const auto* on = first_on<OnFd>(waiting(snapshot, child.pid(), WaitKind::kMultiplex));
  ASSERT_NE(on, nullptr);
  EXPECT_EQ(on->fd, pipe.read.get());
}

TEST_F(SnapshotTest, SelectReadsItsSetsFromMemory) {
  Pipe pipe;
  const Blocked child{[&] {
    fd_set set;
    FD_ZERO(&set);
    FD_SET(pipe.read.get(), &set);
    ::select(pipe.read.get() + 1, &set, nullptr, nullptr, nullptr);
  }};
  const auto snapshot = take_waiting(child.pid(), WaitKind::kMultiplex);
  const auto* thread = waiting(snapshot, child.pid(), WaitKind::kMultiplex);
  const auto* on = first_on<OnFd>(thread);
  ASSERT_NE(on, nullptr);
  EXPECT_EQ(on->fd, pipe.read.get());
  EXPECT_EQ(thread->wait.on.size(), 1U);
  EXPECT_FALSE(thread->wait.timeout);
}

TEST_F(SnapshotTest, EpollSetsAreFollowedAndCheckedByInode) {
  Pipe watched;
  Pipe closed_here;
  const base::UniqueFd inner{::epoll_create1(EPOLL_CLOEXEC)};
  const base::UniqueFd outer{::epoll_create1(EPOLL_CLOEXEC)};
  const auto watch = [](int set, int fd) {
    epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
    ASSERT_EQ(::epoll_ctl(set, EPOLL_CTL_ADD, fd, &event), 0);
  };
  watch(inner.get(), watched.read.get());
  watch(inner.get(), closed_here.read.get());
  watch(outer.get(), inner.get());
  const Blocked child{[&] {
    // The set keeps watching the pipe of the closed number, which now means another file.
    ::dup2(STDERR_FILENO, closed_here.read.get());
    epoll_event event{};
    ::epoll_wait(outer.get(), &event, 1, -1);
  }};
  const auto snapshot = take_waiting(child.pid(), WaitKind::kMultiplex);
  const auto* thread = waiting(snapshot, child.pid(), WaitKind::kMultiplex);
  ASSERT_NE(thread, nullptr);
  ASSERT_EQ(thread->wait.on.size(), 2U);
  const auto is_watched = [&](const model::WaitOn& on) {
    const auto* fd = std::get_if<OnFd>(&on);
    return fd != nullptr && fd->fd == watched.read.get();
  };
  EXPECT_EQ(std::ranges::count_if(thread->wait.on, is_watched), 1);
  EXPECT_FALSE(thread->wait.timeout);
}

TEST_F(SnapshotTest, EventTimerAndSignalDescriptors) {
  const base::UniqueFd event{::eventfd(0, EFD_CLOEXEC)};
  const base::UniqueFd other_event{::eventfd(0, EFD_CLOEXEC)};
  const Blocked eventful{[&] {
    std::uint64_t value = 0;
    static_cast<void>(::read(event.get(), &value, sizeof value));
  }};
  auto snapshot = take_waiting(eventful.pid(), WaitKind::kEventFd);
  const auto* on = first_on<OnFd>(waiting(snapshot, eventful.pid(), WaitKind::kEventFd));
  ASSERT_NE(on, nullptr);
  const auto* shared = resource(snapshot, on->resource);
  ASSERT_NE(shared, nullptr);
  EXPECT_TRUE(holds(*shared, self(), FdMode::kBoth));
  // One number for every anonymous inode, yet two event counters are two things.
  for (const model::Holder& holder : shared->holders) EXPECT_NE(holder.fd, other_event.get());

  const base::UniqueFd timer{::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC)};
  itimerspec setting{};
  setting.it_value.tv_sec = 3600;
  ASSERT_EQ(::timerfd_settime(timer.get(), 0, &setting, nullptr), 0);
  const Blocked timed{[&] {
    std::uint64_t value = 0;
    static_cast<void>(::read(timer.get(), &value, sizeof value));
  }};
  snapshot = take_waiting(timed.pid(), WaitKind::kSleep);
  const auto* sleeper = waiting(snapshot, timed.pid(), WaitKind::kSleep);
  ASSERT_TRUE(sleeper != nullptr && sleeper->wait.remaining);
  EXPECT_LE(*sleeper->wait.remaining, std::chrono::hours{1});
  EXPECT_GT(*sleeper->wait.remaining, std::chrono::minutes{50});

  sigset_t none;
  ::sigemptyset(&none);
  const base::UniqueFd signals{::signalfd(-1, &none, SFD_CLOEXEC)};
  const Blocked reader{[&] {
    signalfd_siginfo info{};
    static_cast<void>(::read(signals.get(), &info, sizeof info));
  }};
  snapshot = take_waiting(reader.pid(), WaitKind::kSignalWait);
  first_on<model::OnSignal>(waiting(snapshot, reader.pid(), WaitKind::kSignalWait));
}

TEST_F(SnapshotTest, AFullMessageQueueCountsMessages) {
  const std::string name = fmt::format("/stucktrace-test-{}", ::getpid());
  mq_attr attributes{};
  attributes.mq_maxmsg = 2;
  attributes.mq_msgsize = 8;
  const int queue = ::mq_open(name.c_str(), O_RDWR | O_CREAT | O_EXCL, 0600, &attributes);
  if (queue < 0) GTEST_SKIP() << "no POSIX message queues here";
  const base::UniqueFd owned{queue};
  ::mq_unlink(name.c_str());
  const Blocked child{[&] {
    while (::mq_send(queue, "x", 1, 0) == 0) {
    }
  }};
  const auto snapshot = take_waiting(child.pid(), WaitKind::kMsgQueue);
  const auto* on = first_on<OnFd>(waiting(snapshot, child.pid(), WaitKind::kMsgQueue));
  ASSERT_NE(on, nullptr);
  const auto* resource_now = resource(snapshot, on->resource);
  ASSERT_NE(resource_now, nullptr);
  EXPECT_EQ(resource_now->id.kind, ResourceKind::kMessageQueue);
  EXPECT_EQ(resource_now->capacity, model::Known<std::uint64_t>{2});
  EXPECT_EQ(resource_now->queued, model::Known<std::uint64_t>{2});
  EXPECT_EQ(resource_now->full, model::Known<bool>{true});
  EXPECT_TRUE(holds(*resource_now, self(), FdMode::kBoth));
}

TEST_F(SnapshotTest, TheTailOfARegularFileOutputIsKept) {
  const TempDir directory;
  const std::string path = directory.file("log");
  const Blocked child{[&] {
    const int log = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::dup2(log, STDOUT_FILENO);
    static_cast<void>(!::write(STDOUT_FILENO, "working\nAll done! Goodbye!\n", 27));
    ::pause();
  }};
  const auto snapshot = take_waiting(child.pid(), WaitKind::kSignalWait);
  waiting(snapshot, child.pid(), WaitKind::kSignalWait);
  const auto& tails = snapshot->find(child.pid())->output_tails;
  const auto tail = std::ranges::find(tails, STDOUT_FILENO, &model::OutputTail::fd);
  ASSERT_NE(tail, tails.end());
  EXPECT_EQ(tail->path, path);
  EXPECT_EQ(tail->last_line, "All done! Goodbye!");
}

}  // namespace
}  // namespace stucktrace::test
