#include <fmt/format.h>
#include <pthread.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <ctime>
#include <thread>
#include <vector>

#include "tests/live/snapshot_fixture.h"

// Waits for tasks, time and file locks, seen from outside in real processes.

namespace stucktrace::test {
namespace {

using model::FdMode;
using model::OnChildren;
using model::OnLock;
using model::OnTask;
using model::WaitKind;

[[noreturn]] void pause_forever() {
  while (true) ::pause();
}

// ---- tasks -------------------------------------------------------------------------------------

TEST_F(SnapshotTest, AWaitNamesTheChildrenThatMatch) {
  const Blocked child{[] {
    const pid_t first = ::fork();
    if (first == 0) pause_forever();
    if (::fork() == 0) pause_forever();
    ::waitpid(first, nullptr, 0);
  }};
  const auto snapshot = take_waiting(child.pid(), WaitKind::kChildWait);
  const auto* on = first_on<OnChildren>(waiting(snapshot, child.pid(), WaitKind::kChildWait));
  ASSERT_NE(on, nullptr);
  EXPECT_EQ(on->which, OnChildren::Which::kOne);
  EXPECT_EQ(on->children, std::vector{base::Pid{on->selector}});
  EXPECT_FALSE(on->reports_stops);
  EXPECT_EQ(snapshot->processes.size(), 3U);
  for (const model::Process& process : snapshot->processes) EXPECT_TRUE(process.in_tree);
}

TEST_F(SnapshotTest, AnyChildOfAnyThreadCounts) {
  const Blocked child{[] {
    std::thread{[] {
      if (::fork() == 0) pause_forever();
      pause_forever();
    }}.detach();
    // Until the other thread has made its child there is nothing to wait for.
    while (::waitpid(-1, nullptr, WUNTRACED) < 0) {
    }
  }};
  const auto snapshot = take_waiting(child.pid(), WaitKind::kChildWait);
  const auto* on = first_on<OnChildren>(waiting(snapshot, child.pid(), WaitKind::kChildWait));
  ASSERT_NE(on, nullptr);
  EXPECT_EQ(on->which, OnChildren::Which::kAny);
  EXPECT_EQ(on->children.size(), 1U);
  EXPECT_TRUE(on->reports_stops);
}

TEST_F(SnapshotTest, AVforkParentWaitsForItsChildInItsOwnMemory) {
  const Blocked parent{[] {
    // The child must not return from the function that called vfork (vfork(2)).
    if (::vfork() == 0) pause_forever();  // NOLINT(bugprone-unsafe-functions): what is looked at
  }};
  const auto snapshot = take_waiting(parent.pid(), WaitKind::kVfork);
  const auto* thread = waiting(snapshot, parent.pid(), WaitKind::kVfork);
  const auto* on = first_on<OnTask>(thread);
  ASSERT_NE(on, nullptr);
  EXPECT_EQ(thread->state, 'D');
  const model::Process* child = snapshot->find(on->pid);
  ASSERT_NE(child, nullptr);
  EXPECT_EQ(child->parent, parent.pid());
  EXPECT_EQ(child->address_space, snapshot->find(parent.pid())->address_space);
}

TEST_F(SnapshotTest, AZombieWaitsForNothing) {
  const Blocked child{[] {
    if (::fork() == 0) ::_exit(3);
    pause_forever();
  }};
  const auto find_zombie = [&](const model::Snapshot& snapshot) -> const model::Process* {
    for (const model::Process& process : snapshot.processes) {
      if (process.state == 'Z') return &process;
    }
    return nullptr;
  };
  const auto snapshot =
      take_when(child.pid(), [&](const model::Snapshot& now, const model::Process&) {
        return find_zombie(now) != nullptr;
      });
  const model::Process* zombie = find_zombie(*snapshot);
  ASSERT_NE(zombie, nullptr);
  ASSERT_EQ(zombie->threads.size(), 1U);
  EXPECT_EQ(zombie->threads.front().wait.kind, WaitKind::kOther);
  EXPECT_TRUE(zombie->threads.front().wait.on.empty());
}

TEST_F(SnapshotTest, AProcessWhoseMainThreadEndedStillShowsItsDescriptors) {
  Pipe pipe;
  const Blocked child{[&] {
    std::thread{[&] {
      char byte = 0;
      static_cast<void>(::read(pipe.read.get(), &byte, 1));
    }}.detach();
    ::pthread_exit(nullptr);
  }};
  const auto snapshot =
      take_when(child.pid(), [](const model::Snapshot&, const model::Process& process) {
        return process.state == 'Z' && find_waiting(process, WaitKind::kPipeRead) != nullptr;
      });
  const auto* on = first_on<model::OnFd>(waiting(snapshot, child.pid(), WaitKind::kPipeRead));
  ASSERT_NE(on, nullptr);
  const auto* pipe_now = resource(snapshot, on->resource);
  EXPECT_TRUE(holds(*pipe_now, child.pid(), FdMode::kWrite));
  EXPECT_EQ(pipe_now->readable, model::Known<bool>{false});
}

TEST_F(SnapshotTest, AThreadWithDescriptorsOfItsOwnIsReadThroughThem) {
  Pipe pipe;
  const Blocked child{[&] {
    std::thread{[&] {
      ::unshare(CLONE_FILES);
      const int own = ::fcntl(pipe.read.get(), F_DUPFD, 300);
      char byte = 0;
      static_cast<void>(::read(own, &byte, 1));
    }}.join();
  }};
  const auto snapshot = take_waiting(child.pid(), WaitKind::kPipeRead);
  const auto* on = first_on<model::OnFd>(waiting(snapshot, child.pid(), WaitKind::kPipeRead));
  ASSERT_NE(on, nullptr);
  EXPECT_GE(on->fd, 300);
  const auto* pipe_now = resource(snapshot, on->resource);
  EXPECT_EQ(pipe_now->readable, model::Known<bool>{false});
  const auto is_own = [&](const model::Holder& holder) {
    return holder.pid == child.pid() && holder.fd == on->fd;
  };
  EXPECT_EQ(std::ranges::count_if(pipe_now->holders, is_own), 1);
}

TEST_F(SnapshotTest, RunningAndSleepingAndGone) {
  const Blocked busy{[] {
    std::atomic<int> turns{0};
    while (true) turns.fetch_add(1, std::memory_order_relaxed);
  }};
  const auto running = take_waiting(busy.pid(), WaitKind::kRunning);
  waiting(running, busy.pid(), WaitKind::kRunning);

  const Blocked asleep{[] {
    timespec hour{.tv_sec = 3600, .tv_nsec = 0};
    ::nanosleep(&hour, nullptr);
  }};
  auto snapshot = take_waiting(asleep.pid(), WaitKind::kSleep);
  EXPECT_EQ(waiting(snapshot, asleep.pid(), WaitKind::kSleep)->wait.timeout,
            base::Nanoseconds{std::chrono::hours{1}});

  const Blocked until{[] {
    timespec deadline{};
    ::clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec += 3600;
    ::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &deadline, nullptr);
  }};
  snapshot = take_waiting(until.pid(), WaitKind::kSleep);
  const auto* sleeper = waiting(snapshot, until.pid(), WaitKind::kSleep);
  ASSERT_TRUE(sleeper != nullptr && sleeper->wait.remaining);
  EXPECT_GT(*sleeper->wait.remaining, std::chrono::minutes{50});
  EXPECT_LE(*sleeper->wait.remaining, std::chrono::hours{1});

  base::Pid gone;
  {
    const Blocked brief{[] {}};
    gone = brief.pid();
  }
  engine::SnapshotOptions options;
  options.roots = {gone};
  const auto nothing = snapshotter_.take(options);
  ASSERT_FALSE(nothing);
  EXPECT_EQ(nothing.error().kind, base::ErrorKind::kGone);
}

// ---- locks -------------------------------------------------------------------------------------

TEST_F(SnapshotTest, AnInheritedFlockIsHeldByWhoKeepsTheFile) {
  const TempDir directory;
  const std::string path = directory.file("lock");
  base::UniqueFd file{::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
  ASSERT_EQ(::flock(file.get(), LOCK_EX), 0);  // taken here, kept by the heir alone
  const Blocked heir{pause_forever};
  file.reset();
  const Blocked child{[&] {
    const int own = ::open(path.c_str(), O_RDWR);
    ::flock(own, LOCK_EX);
  }};
  const auto snapshot = take_waiting(child.pid(), WaitKind::kFileLock);
  const auto* on = first_on<OnLock>(waiting(snapshot, child.pid(), WaitKind::kFileLock));
  ASSERT_NE(on, nullptr);
  EXPECT_EQ(on->owners, std::vector{heir.pid()});
  EXPECT_EQ(on->description, "FLOCK WRITE 0-EOF");
  EXPECT_EQ(resource(snapshot, on->file)->label, path);
  EXPECT_NE(snapshot->find(heir.pid()), nullptr);
}

TEST_F(SnapshotTest, ARangeLockNamesTheOwnerOfThatRange) {
  const TempDir directory;
  const std::string path = directory.file("lock");
  const auto lock_range = [&](int command, off_t start, off_t length) {
    const int file = ::open(path.c_str(), O_RDWR | O_CREAT, 0600);
    struct flock range{};
    range.l_type = F_WRLCK;
    range.l_whence = SEEK_SET;
    range.l_start = start;
    range.l_len = length;
    return ::fcntl(file, command, &range);
  };
  const Blocked first{[&] {
    lock_range(F_SETLKW, 0, 10);
    pause_forever();
  }};
  const Blocked second{[&] {
    lock_range(F_OFD_SETLKW, 10, 10);
    pause_forever();
  }};
  ASSERT_NE(take_waiting(first.pid(), WaitKind::kSignalWait), nullptr);
  ASSERT_NE(take_waiting(second.pid(), WaitKind::kSignalWait), nullptr);
  const Blocked wants_first{[&] { lock_range(F_SETLKW, 5, 2); }};
  const Blocked wants_second{[&] { lock_range(F_OFD_SETLKW, 15, 100); }};
  auto snapshot = take_waiting(wants_first.pid(), WaitKind::kFileLock);
  const auto* on = first_on<OnLock>(waiting(snapshot, wants_first.pid(), WaitKind::kFileLock));
  ASSERT_NE(on, nullptr);
  EXPECT_EQ(on->owners, std::vector{first.pid()});
  EXPECT_EQ(on->description, "POSIX WRITE 0-9");
  snapshot = take_waiting(wants_second.pid(), WaitKind::kFileLock);
  on = first_on<OnLock>(waiting(snapshot, wants_second.pid(), WaitKind::kFileLock));
  ASSERT_NE(on, nullptr);
  EXPECT_EQ(on->owners, std::vector{second.pid()});
  EXPECT_EQ(on->description, "OFDLCK WRITE 10-19");
}

TEST_F(SnapshotTest, ASemaphoreTellsItsValueAndThatItsTakerIsGone) {
  const int set = ::semget(IPC_PRIVATE, 2, IPC_CREAT | 0600);
  if (set < 0) GTEST_SKIP() << "no System V semaphores here";
  ASSERT_EQ(::semctl(set, 1, SETVAL, 1), 0);
  {
    sembuf take_it{.sem_num = 1, .sem_op = -1, .sem_flg = 0};
    base::Pid taker_pid;
    {
      Pipe done;
      const Blocked taker{[&] {
        ::semop(set, &take_it, 1);
        static_cast<void>(!::write(done.write.get(), "x", 1));
      }};
      char byte = 0;
      ASSERT_EQ(::read(done.read.get(), &byte, 1), 1);
      taker_pid = taker.pid();
    }
    const Blocked child{[&] { ::semop(set, &take_it, 1); }};
    const auto snapshot = take_waiting(child.pid(), WaitKind::kSemaphore);
    const auto* on = first_on<model::OnFd>(waiting(snapshot, child.pid(), WaitKind::kSemaphore));
    ASSERT_NE(on, nullptr);
    const auto* semaphore = resource(snapshot, on->resource);
    ASSERT_NE(semaphore, nullptr);
    EXPECT_EQ(semaphore->queued, model::Known<std::uint64_t>{0});
    EXPECT_TRUE(semaphore->holders.empty());
    EXPECT_EQ(semaphore->last_user, taker_pid);
    EXPECT_FALSE(semaphore->last_user_alive);
    EXPECT_FALSE(semaphore->holders_complete);
    EXPECT_EQ(semaphore->label,
              fmt::format("semaphore 1 of set {}: value 0, last used by process {} (gone)", set,
                          taker_pid));
  }
  ::semctl(set, 0, IPC_RMID);
}

TEST_F(SnapshotTest, AnEmptyQueueTellsHowManyMessagesItHas) {
  const int queue = ::msgget(IPC_PRIVATE, IPC_CREAT | 0600);
  if (queue < 0) GTEST_SKIP() << "no System V queues here";
  {
    const Blocked child{[&] {
      struct {
        long type;
        char text[8];
      } message{};
      ::msgrcv(queue, &message, sizeof message.text, 0, 0);
    }};
    const auto snapshot = take_waiting(child.pid(), WaitKind::kMsgQueue);
    const auto* on = first_on<model::OnFd>(waiting(snapshot, child.pid(), WaitKind::kMsgQueue));
    ASSERT_NE(on, nullptr);
    EXPECT_EQ(on->direction, FdMode::kRead);
    EXPECT_EQ(resource(snapshot, on->resource)->queued, model::Known<std::uint64_t>{0});
  }
  ::msgctl(queue, IPC_RMID, nullptr);
}

// ---- stacks ------------------------------------------------------------------------------------

TEST_F(SnapshotTest, NativeStacksAreThereWithoutAStop) {
  const Blocked child{pause_forever};
  ASSERT_NE(take_waiting(child.pid(), WaitKind::kSignalWait), nullptr);
  engine::SnapshotOptions options;
  options.roots = {child.pid()};
  const auto snapshot = snapshotter_.take(options);
  ASSERT_TRUE(snapshot);
  const model::Thread& thread = (*snapshot)->find(child.pid())->threads.front();
  const auto is_pause = [](const model::NativeFrame& frame) {
    return frame.function.find("pause_forever") != std::string::npos;
  };
  EXPECT_TRUE(std::ranges::any_of(thread.stack, is_pause)) << thread.stack_note;
  EXPECT_EQ(status_field(child.pid(), "TracerPid"), "0");
}

}  // namespace
}  // namespace stucktrace::test
