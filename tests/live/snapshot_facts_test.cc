// Facts beside the waits themselves: backlogs, last users, fifos, handlers.

#include <mqueue.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "tests/live/snapshot_fixture.h"

namespace stucktrace::test {
namespace {

using model::FdMode;
using model::OnFd;
using model::WaitKind;

void pause_for_ever() {
  while (true) ::pause();
}

TEST_F(SnapshotTest, AnUnacceptedUnixConnectionBelongsToItsListener) {
  const TempDir directory;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  directory.file("socket").copy(&address.sun_path[0], sizeof address.sun_path - 1);
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  const base::UniqueFd listener{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  ASSERT_EQ(::bind(listener.get(), generic, sizeof address), 0);
  ASSERT_EQ(::listen(listener.get(), 3), 0);
  const Blocked child{[&] {
    const int client = ::socket(AF_UNIX, SOCK_STREAM, 0);
    char byte = 0;
    if (::connect(client, generic, sizeof address) == 0) {
      static_cast<void>(!::read(client, &byte, 1));
    }
  }};
  const auto snapshot = take_waiting(child.pid(), WaitKind::kUnixRead);
  const auto* on = first_on<OnFd>(waiting(snapshot, child.pid(), WaitKind::kUnixRead));
  ASSERT_NE(on, nullptr);
  const auto* socket = resource(snapshot, on->resource);
  ASSERT_TRUE(socket != nullptr && socket->peer);
  const auto* peer = resource(snapshot, *socket->peer);
  ASSERT_NE(peer, nullptr);
  EXPECT_TRUE(peer->unaccepted);
  EXPECT_EQ(peer->label, directory.file("socket"));
  EXPECT_EQ(peer->backlog, 3U);
  EXPECT_EQ(peer->backlog_queued, 1U);
  EXPECT_TRUE(holds(*peer, self(), FdMode::kBoth));
  EXPECT_TRUE(holds(*peer, child.pid(), FdMode::kBoth));  // it inherited the listener
  // The listener is there by itself, too.
  const auto* own = resource(snapshot, {model::ResourceKind::kUnixSocket, 0, peer->id.device, 0});
  ASSERT_NE(own, nullptr);
  EXPECT_TRUE(own->listening);
  EXPECT_FALSE(own->unaccepted);
}

TEST_F(SnapshotTest, OnlyOpenersOfTheSameFifoAreTakenIn) {
  const TempDir directory;
  ASSERT_EQ(::mkfifo(directory.file("a").c_str(), 0600), 0);
  ASSERT_EQ(::mkfifo(directory.file("b").c_str(), 0600), 0);
  const auto open_it = [](const std::string& path) {
    static_cast<void>(!::open(path.c_str(), O_RDONLY));
  };
  const Blocked child{[&] { open_it(directory.file("a")); }};
  const Blocked companion{[&] {
    // Below its own working directory, by another name.
    if (::chdir(directory.file(".").c_str()) == 0) open_it("./a");
  }};
  const Blocked stranger{[&] { open_it(directory.file("b")); }};
  ASSERT_NE(waiting(take_waiting(companion.pid(), WaitKind::kFifoOpen), companion.pid(),
                    WaitKind::kFifoOpen),
            nullptr);
  ASSERT_NE(waiting(take_waiting(stranger.pid(), WaitKind::kFifoOpen), stranger.pid(),
                    WaitKind::kFifoOpen),
            nullptr);
  const auto snapshot = take_waiting(child.pid(), WaitKind::kFifoOpen);
  ASSERT_NE(snapshot, nullptr);
  EXPECT_NE(snapshot->find(companion.pid()), nullptr);
  EXPECT_EQ(snapshot->find(stranger.pid()), nullptr);
}

TEST_F(SnapshotTest, WhoUsedASemaphoreLastIsTakenIn) {
  const int set = ::semget(IPC_PRIVATE, 2, IPC_CREAT | 0600);
  if (set < 0) GTEST_SKIP() << "no System V semaphores here";
  ASSERT_EQ(::semctl(set, 0, SETVAL, 9), 0);
  ASSERT_EQ(::semctl(set, 1, SETVAL, 1), 0);
  {
    Pipe done;
    const Blocked taker{[&] {
      sembuf take_it{.sem_num = 1, .sem_op = -1, .sem_flg = 0};
      ::semop(set, &take_it, 1);
      static_cast<void>(!::write(done.write.get(), "x", 1));
      pause_for_ever();
    }};
    char byte = 0;
    ASSERT_EQ(::read(done.read.get(), &byte, 1), 1);
    const Blocked child{[&] {
      std::array<sembuf, 2> both{
          {{.sem_num = 0, .sem_op = -1, .sem_flg = 0}, {.sem_num = 1, .sem_op = -1, .sem_flg = 0}}};
      ::semop(set, both.data(), both.size());
    }};
    const auto snapshot = take_waiting(child.pid(), WaitKind::kSemaphore);
    const auto* on = first_on<OnFd>(waiting(snapshot, child.pid(), WaitKind::kSemaphore));
    ASSERT_NE(on, nullptr);
    EXPECT_EQ(on->resource.offset, 1U);  // the first of the two could be done
    const auto* semaphore = resource(snapshot, on->resource);
    ASSERT_NE(semaphore, nullptr);
    EXPECT_EQ(semaphore->last_user, taker.pid());
    EXPECT_TRUE(semaphore->last_user_alive);
    EXPECT_NE(snapshot->find(taker.pid()), nullptr);
  }
  ::semctl(set, 0, IPC_RMID);
}

TEST_F(SnapshotTest, ASenderToAFullQueueLooksForTheLastReceiver) {
  const int queue = ::msgget(IPC_PRIVATE, IPC_CREAT | 0600);
  if (queue < 0) GTEST_SKIP() << "no System V queues here";
  struct {
    long type = 1;
    char text[4096] = {};
  } message;
  {
    ASSERT_EQ(::msgsnd(queue, &message, sizeof message.text, 0), 0);
    Pipe done;
    const Blocked receiver{[&] {
      ::msgrcv(queue, &message, sizeof message.text, 0, 0);
      static_cast<void>(!::write(done.write.get(), "x", 1));
      pause_for_ever();
    }};
    char byte = 0;
    ASSERT_EQ(::read(done.read.get(), &byte, 1), 1);
    const Blocked child{[&] {
      while (true) ::msgsnd(queue, &message, sizeof message.text, 0);
    }};
    const auto snapshot = take_waiting(child.pid(), WaitKind::kMsgQueue);
    const auto* on = first_on<OnFd>(waiting(snapshot, child.pid(), WaitKind::kMsgQueue));
    ASSERT_NE(on, nullptr);
    const auto* state = resource(snapshot, on->resource);
    ASSERT_NE(state, nullptr);
    EXPECT_EQ(state->last_user, receiver.pid());
    EXPECT_TRUE(state->last_user_alive);
    EXPECT_NE(snapshot->find(receiver.pid()), nullptr);
  }
  ::msgctl(queue, IPC_RMID, nullptr);
}

TEST_F(SnapshotTest, AFullPosixQueueAndAllWhoHoldIt) {
  const std::string name = "/stucktrace-test-" + std::to_string(::getpid());
  mq_attr attributes{};
  attributes.mq_maxmsg = 2;
  attributes.mq_msgsize = 8;
  const mqd_t queue = ::mq_open(name.c_str(), O_RDWR | O_CREAT | O_EXCL, 0600, &attributes);
  if (queue < 0) GTEST_SKIP() << "no POSIX queues here";
  ::mq_unlink(name.c_str());
  {
    const Blocked child{[&] {
      while (true) ::mq_send(queue, "12345678", 8, 0);
    }};
    const auto snapshot = take_waiting(child.pid(), WaitKind::kMsgQueue);
    const auto* on = first_on<OnFd>(waiting(snapshot, child.pid(), WaitKind::kMsgQueue));
    ASSERT_NE(on, nullptr);
    const auto* state = resource(snapshot, on->resource);
    ASSERT_NE(state, nullptr);
    EXPECT_EQ(state->capacity, model::Known<std::uint64_t>{2});
    EXPECT_EQ(state->queued, model::Known<std::uint64_t>{2});
    EXPECT_EQ(state->full, model::Known<bool>{true});
    EXPECT_TRUE(holds(*state, self(), FdMode::kBoth));
    EXPECT_TRUE(holds(*state, child.pid(), FdMode::kBoth));
  }
  ::mq_close(queue);
}

TEST_F(SnapshotTest, SignalsWithAHandlerAreKnown) {
  const Blocked child{[] {
    struct sigaction action{};
    action.sa_handler = [](int) {};
    ::sigaction(SIGUSR1, &action, nullptr);
    pause_for_ever();
  }};
  ASSERT_NE(take_waiting(child.pid(), WaitKind::kSignalWait), nullptr);
  const auto snapshot = take(child.pid());  // read from the start after it has come to wait
  ASSERT_NE(waiting(snapshot, child.pid(), WaitKind::kSignalWait), nullptr);
  const auto& caught = snapshot->find(child.pid())->caught_signals;
  ASSERT_TRUE(caught);
  EXPECT_NE(*caught & (1ULL << (SIGUSR1 - 1)), 0U);
  EXPECT_EQ(*caught & (1ULL << (SIGUSR2 - 1)), 0U);
}

}  // namespace
}  // namespace stucktrace::test
