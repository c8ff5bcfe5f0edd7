#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <ctime>
#include <thread>
#include <vector>

#include "tests/live/snapshot_fixture.h"

// Waits on futexes, seen from outside in real processes.

namespace stucktrace::test {
namespace {

using model::OnFutex;
using model::WaitKind;
using Role = model::OnFutex::Role;

[[noreturn]] void pause_forever() {
  while (true) ::pause();
}

// Runs `hold` in a second thread that then never ends, and `wait` in this one once it is done.
template <class Hold, class Wait>
void hold_and_wait(Hold hold, Wait wait) {
  std::atomic<bool> held{false};
  std::thread holder{[&] {
    hold();
    held = true;
    pause_forever();
  }};
  while (!held) ::sched_yield();  // not a futex: that would be a wait like the one to be seen
  wait();
  holder.join();
}

base::Tid other_thread(const model::Process& process) {
  return process.threads.size() == 2 ? process.threads[1].tid : base::Tid{};
}

class FutexTest : public SnapshotTest {
 protected:
  // The futex the child's main thread waits on, once it does.
  const OnFutex* futex_of(base::Pid pid, WaitKind kind = WaitKind::kFutex) {
    snapshot_ = take_when(pid, [kind](const model::Snapshot&, const model::Process& process) {
      return !process.threads.empty() && process.threads.front().wait.kind == kind;
    });
    return first_on<OnFutex>(waiting(snapshot_, pid, kind));
  }
  std::shared_ptr<model::Snapshot> snapshot_;
};

TEST_F(FutexTest, AMutexNamesItsOwner) {
  const Blocked child{[] {
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    hold_and_wait([] { ::pthread_mutex_lock(&mutex); }, [] { ::pthread_mutex_lock(&mutex); });
  }};
  const OnFutex* futex = futex_of(child.pid());
  ASSERT_NE(futex, nullptr);
  EXPECT_EQ(futex->role, Role::kMutex);
  EXPECT_TRUE(futex->is_private);
  EXPECT_EQ(futex->word, model::Known<std::uint32_t>{2});
  EXPECT_EQ(futex->owner, other_thread(*snapshot_->find(child.pid())));
  EXPECT_TRUE(futex->owner_alive);
  EXPECT_EQ(futex->futex.device, static_cast<std::uint64_t>(child.pid().value()));
  EXPECT_EQ(futex->futex.inode, futex->address.value());
}

TEST_F(FutexTest, ARobustAndAnInheritingMutexNameTheirOwnerToo) {
  for (const bool inherits : {false, true}) {
    const Blocked child{[inherits] {
      static pthread_mutex_t mutex;
      pthread_mutexattr_t attributes;
      ::pthread_mutexattr_init(&attributes);
      if (inherits) {
        ::pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
      } else {
        ::pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
      }
      ::pthread_mutex_init(&mutex, &attributes);
      hold_and_wait([] { ::pthread_mutex_lock(&mutex); }, [] { ::pthread_mutex_lock(&mutex); });
    }};
    const OnFutex* futex = futex_of(child.pid());
    ASSERT_NE(futex, nullptr);
    EXPECT_EQ(futex->role, inherits ? Role::kPiMutex : Role::kMutex);
    EXPECT_EQ(futex->owner, other_thread(*snapshot_->find(child.pid())));
    EXPECT_TRUE(futex->owner_alive);
  }
}

TEST_F(FutexTest, AJoinIsAWaitForThatThread) {
  const Blocked child{[] {
    std::thread never{pause_forever};
    never.join();
  }};
  const OnFutex* futex = futex_of(child.pid(), WaitKind::kThreadJoin);
  ASSERT_NE(futex, nullptr);
  EXPECT_EQ(futex->role, Role::kJoin);
  EXPECT_EQ(futex->owner, other_thread(*snapshot_->find(child.pid())));
  // The flag for sharing is set, but the word lies in memory that nobody shares.
  EXPECT_TRUE(futex->is_private);
}

TEST_F(FutexTest, ANumberOfAThreadInAnyOtherWordIsNoJoin) {
  const Blocked child{[] {
    static std::atomic<int> word{0};
    std::thread never{[] {
      word = static_cast<int>(::syscall(SYS_gettid));
      pause_forever();
    }};
    while (word == 0) ::sched_yield();
    ::syscall(SYS_futex, &word, FUTEX_WAIT, word.load(), nullptr, nullptr, 0);
    never.join();
  }};
  const OnFutex* futex = futex_of(child.pid());
  ASSERT_NE(futex, nullptr);
  EXPECT_EQ(futex->role, Role::kUnknown);
  EXPECT_FALSE(futex->owner);
}

TEST_F(FutexTest, AMutexIsHeldByAThreadOfAnotherProcessInTheSameMemory) {
  static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  const Blocked parent{[] {
    hold_and_wait([] { ::pthread_mutex_lock(&mutex); },
                  [] {
                    static std::array<char, 1U << 16U> stack;
                    const auto locks = [](void*) { return ::pthread_mutex_lock(&mutex); };
                    ::clone(locks, &stack.back() - 64, CLONE_VM | SIGCHLD, nullptr);
                    pause_forever();
                  });
  }};
  const auto waits = [&](const model::Snapshot& snapshot, const model::Process&) {
    for (const model::Process& process : snapshot.processes) {
      if (process.parent == parent.pid() && find_waiting(process, WaitKind::kFutex) != nullptr) {
        return true;
      }
    }
    return false;
  };
  const auto tree = take_when(parent.pid(), waits);
  ASSERT_NE(tree, nullptr);
  const auto child = std::ranges::find(tree->processes, parent.pid(), &model::Process::parent);
  ASSERT_NE(child, tree->processes.end());
  // Asked for the child alone, the parent is looked at: it can wake it.
  const OnFutex* futex = futex_of(child->pid);
  ASSERT_NE(futex, nullptr);
  EXPECT_EQ(futex->role, Role::kMutex);
  EXPECT_TRUE(futex->owner_alive);
  const model::Process* owners = nullptr;
  ASSERT_TRUE(futex->owner);
  ASSERT_NE(snapshot_->find_thread(*futex->owner, &owners), nullptr);
  EXPECT_EQ(owners->pid, parent.pid());
}

TEST_F(FutexTest, AReadWriteLockNamesAWriterButNoReader) {
  const Blocked reader{[] {
    static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
    hold_and_wait([] { ::pthread_rwlock_wrlock(&lock); }, [] { ::pthread_rwlock_rdlock(&lock); });
  }};
  const OnFutex* futex = futex_of(reader.pid());
  ASSERT_NE(futex, nullptr);
  EXPECT_EQ(futex->role, Role::kRwlockWriter);
  EXPECT_EQ(futex->owner, other_thread(*snapshot_->find(reader.pid())));

  const Blocked writer{[] {
    static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
    hold_and_wait([] { ::pthread_rwlock_rdlock(&lock); }, [] { ::pthread_rwlock_wrlock(&lock); });
  }};
  futex = futex_of(writer.pid());
  ASSERT_NE(futex, nullptr);
  EXPECT_EQ(futex->role, Role::kRwlockReader);
  EXPECT_FALSE(futex->owner);
}

TEST_F(FutexTest, AConditionVariableHasNoOwner) {
  const Blocked child{[] {
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
    ::pthread_mutex_lock(&mutex);
    ::pthread_cond_wait(&condition, &mutex);
  }};
  const OnFutex* futex = futex_of(child.pid());
  ASSERT_NE(futex, nullptr);
  EXPECT_EQ(futex->role, Role::kUnknown);
  EXPECT_FALSE(futex->owner);
}

TEST_F(FutexTest, ALockLostByForkHasAnOwnerThatIsNotThere) {
  const Blocked child{[] {
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    hold_and_wait([] { ::pthread_mutex_lock(&mutex); },
                  [] {
                    if (::fork() == 0) ::pthread_mutex_lock(&mutex);
                    pause_forever();
                  });
  }};
  const auto grandchild = [&](const model::Snapshot& snapshot) -> const model::Process* {
    for (const model::Process& process : snapshot.processes) {
      if (process.parent == child.pid()) return &process;
    }
    return nullptr;
  };
  const auto snapshot =
      take_when(child.pid(), [&](const model::Snapshot& now, const model::Process& maker) {
        // The maker may have been read before it had its second thread.
        const model::Process* process = grandchild(now);
        return maker.threads.size() == 2 && process != nullptr &&
               find_waiting(*process, WaitKind::kFutex) != nullptr;
      });
  const model::Process* process = grandchild(*snapshot);
  ASSERT_NE(process, nullptr);
  EXPECT_TRUE(process->in_tree);
  const auto* futex = first_on<OnFutex>(waiting(snapshot, process->pid, WaitKind::kFutex));
  ASSERT_NE(futex, nullptr);
  EXPECT_EQ(futex->role, Role::kMutex);
  EXPECT_EQ(futex->owner, other_thread(*snapshot->find(child.pid())));
  EXPECT_FALSE(futex->owner_alive);
}

TEST_F(FutexTest, ASharedMutexIsFoundByItsPage) {
  void* page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(page, MAP_FAILED);
  auto* mutex = static_cast<pthread_mutex_t*>(page);
  pthread_mutexattr_t attributes;
  ::pthread_mutexattr_init(&attributes);
  ::pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  ::pthread_mutex_init(mutex, &attributes);
  {
    const Blocked holder{[&] {
      ::pthread_mutex_lock(mutex);
      pause_forever();
    }};
    ASSERT_NE(take_waiting(holder.pid(), WaitKind::kSignalWait), nullptr);
    const Blocked child{[&] { ::pthread_mutex_lock(mutex); }};
    const OnFutex* futex = futex_of(child.pid());
    ASSERT_NE(futex, nullptr);
    EXPECT_FALSE(futex->is_private);
    EXPECT_EQ(futex->role, Role::kMutex);
    EXPECT_EQ(futex->owner, base::main_thread(holder.pid()));
    EXPECT_TRUE(futex->owner_alive);
    std::vector<base::Pid> expected{self(), holder.pid(), child.pid()};
    std::ranges::sort(expected);
    EXPECT_EQ(futex->sharers, expected);
    EXPECT_NE(snapshot_->find(holder.pid()), nullptr);  // taken in: it can release
  }
  ::munmap(page, 4096);
}

TEST_F(FutexTest, ATimedWaitHasARemainingTime) {
  const Blocked child{[] {
    static sem_t semaphore;
    ::sem_init(&semaphore, 0, 0);
    timespec deadline{};
    ::clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += 3600;
    ::sem_timedwait(&semaphore, &deadline);
  }};
  futex_of(child.pid());
  const auto* thread = waiting(snapshot_, child.pid(), WaitKind::kFutex);
  ASSERT_TRUE(thread != nullptr && thread->wait.remaining);
  EXPECT_LE(*thread->wait.remaining, std::chrono::hours{1});
  EXPECT_GT(*thread->wait.remaining, std::chrono::minutes{50});
}

}  // namespace
}  // namespace stucktrace::test
