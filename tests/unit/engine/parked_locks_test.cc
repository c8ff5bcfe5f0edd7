#include "tracer/engine/parked_locks.h"

#include <gtest/gtest.h>

#include <array>
#include <span>
#include <utility>

namespace stucktrace::engine {
namespace {

using base::RemoteAddr;
using base::Tid;
using model::OnFutex;

constexpr std::uint64_t kStack = 0x7000'0000, kMutexA = 0x5000, kMutexB = 0x6000;
constexpr std::uint32_t kInherits = 0x20, kWaiters = 0x80000000U;

// Thread 42 of process 42 sleeps on a zero word of its own stack, in pthread_mutex_lock().
class ParkedLocksTest : public testing::Test {
 protected:
  ParkedLocksTest() {
    process_.pid = base::Pid{42};
    process_.threads.resize(2);
    process_.threads[0].tid = Tid{42};
    process_.threads[1].tid = Tid{43};
    model::Thread& thread = process_.threads[0];
    model::SyscallLine line;
    line.stack_pointer = kStack;
    thread.syscall = line;
    for (const char* name : {"__futex_abstimed_wait_common", "pthread_mutex_lock", "work"}) {
      model::NativeFrame frame;
      frame.function = name;
      thread.stack.push_back(std::move(frame));
    }
    OnFutex futex;
    futex.futex = {model::ResourceKind::kFutex, 42, kStack + 0x40, 0};
    futex.address = RemoteAddr{kStack + 0x40};
    futex.word = 0;
    thread.wait.on.push_back(futex);
  }
  void has_mutex(std::uint64_t address, std::uint32_t word, std::uint32_t owner,
                 std::uint32_t kind) {
    const std::array<std::uint32_t, 10> fields{word, 0, owner, 1, kind, 0, 0, 0, 0, 0};
    memory_.add(RemoteAddr{address}, std::as_bytes(std::span{fields}));
  }
  const OnFutex& named(const std::array<std::uint64_t, 4>& on_stack) {
    std::array<std::uint64_t, 128> stack{};
    std::ranges::copy(on_stack, stack.begin() + 20);
    memory_.add(RemoteAddr{kStack}, std::as_bytes(std::span{stack}));
    name_parked_locks(process_, memory_);
    return std::get<OnFutex>(process_.threads[0].wait.on[0]);
  }

  model::Process process_;
  syscalls::CapturedMemory memory_;
};

TEST_F(ParkedLocksTest, TheOtherOwnersMutexIsWaitedFor) {
  has_mutex(kMutexA, 42, 42, kInherits);
  has_mutex(kMutexB, 43 | kWaiters, 43, kInherits);
  const OnFutex& futex = named({kMutexA, 3, kMutexB, 0x1234});
  EXPECT_EQ(futex.role, OnFutex::Role::kPiMutex);
  EXPECT_EQ(futex.owner, Tid{43});
  EXPECT_TRUE(futex.owner_alive);
  EXPECT_EQ(futex.futex.inode, kMutexB);
  EXPECT_FALSE(process_.threads[0].wait.inferred);
  EXPECT_EQ(futex.word, model::Known<std::uint32_t>{43 | kWaiters});
}

TEST_F(ParkedLocksTest, ItsOwnMutexAskedForAgain) {
  has_mutex(kMutexA, 42, 42, kInherits);
  EXPECT_EQ(named({kMutexA, kMutexA}).owner, Tid{42});
}

TEST_F(ParkedLocksTest, AnOwnerThatIsGone) {
  has_mutex(kMutexB, 77, 77, kInherits);
  const OnFutex& futex = named({kMutexB});
  EXPECT_EQ(futex.owner, Tid{77});
  EXPECT_FALSE(futex.owner_alive);
}

TEST_F(ParkedLocksTest, TwoThatItCouldBeAreNoAnswer) {
  has_mutex(kMutexA, 43, 43, kInherits);
  has_mutex(kMutexB, 43, 43, kInherits);
  EXPECT_EQ(named({kMutexA, kMutexB}).role, OnFutex::Role::kUnknown);
}

TEST_F(ParkedLocksTest, NoSuchMutexInReach) {
  has_mutex(kMutexA, 43, 43, 0);          // of the plain kind
  has_mutex(kMutexB, 44, 43, kInherits);  // the two owners differ
  EXPECT_EQ(named({kMutexA, kMutexB, kMutexB + 1}).role, OnFutex::Role::kUnknown);
}

TEST_F(ParkedLocksTest, WithoutTheMutexWhoDependsOnTheThreadIsNoProof) {
  OnFutex held;
  held.role = OnFutex::Role::kPiMutex;
  held.owner = Tid{42};
  process_.threads[1].wait.on.push_back(held);
  // The lock may as well have died with its owner (ESRCH).
  EXPECT_EQ(named({}).role, OnFutex::Role::kUnknown);
}

TEST_F(ParkedLocksTest, AWordOnTheStackAloneProvesNothing) {
  has_mutex(kMutexB, 43, 43, kInherits);
  process_.threads[0].stack.edit()[1].function = "sem_wait";
  EXPECT_EQ(named({kMutexB}).role, OnFutex::Role::kUnknown);
}

TEST_F(ParkedLocksTest, AWordElsewhereIsNoParkingPlace) {
  has_mutex(kMutexB, 43, 43, kInherits);
  std::get<OnFutex>(process_.threads[0].wait.on[0]).address = RemoteAddr{kStack - 8};
  EXPECT_EQ(named({kMutexB}).role, OnFutex::Role::kUnknown);
}

}  // namespace
}  // namespace stucktrace::engine
