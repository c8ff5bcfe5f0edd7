#include "tracer/kernel/waiter.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <deque>

namespace stucktrace::kernel {
namespace {

// A wait4 that serves what the test lines up, the youngest task first as the kernel does.
struct FakeWait {
  std::deque<int> answers;
  int blocking_calls = 0;
  Waiter::WaitCall call() {
    return [this](int* status, bool block) {
      if (block) ++blocking_calls;
      if (answers.empty()) return block ? -ECHILD : 0;
      const int answer = answers.front();
      answers.pop_front();
      *status = 0x57f;
      return answer;
    };
  }
};

TEST(Waiter, DrainsWhatIsReadyAndServesItInOrder) {
  FakeWait fake{{3, 2, 1, 0}};
  Waiter waiter{fake.call()};
  WaitReport report;
  for (const int tid : {3, 2, 1}) {
    ASSERT_EQ(waiter.next(WaitHow::kBlock, report), Waiter::Outcome::kReport);
    EXPECT_EQ(report.tid.value(), tid);
  }
  EXPECT_EQ(fake.blocking_calls, 1);
}

TEST(Waiter, TellsItsOutcomesApart) {
  FakeWait fake{{-EINTR, 0, -EINVAL}};
  Waiter waiter{fake.call()};
  WaitReport report;
  EXPECT_EQ(waiter.next(WaitHow::kBlock, report), Waiter::Outcome::kInterrupted);
  EXPECT_EQ(waiter.next(WaitHow::kNoBlock, report), Waiter::Outcome::kNothing);
  EXPECT_EQ(waiter.next(WaitHow::kBlock, report), Waiter::Outcome::kFailed);
  EXPECT_EQ(waiter.next(WaitHow::kBlock, report), Waiter::Outcome::kNoTracees);
}

TEST(Waiter, DrainsInBoundedBatches) {
  int next = 0;
  Waiter waiter{[&next](int* status, bool) {
    *status = 0x57f;
    return ++next;
  }};
  WaitReport report;
  ASSERT_EQ(waiter.next(WaitHow::kBlock, report), Waiter::Outcome::kReport);
  EXPECT_LE(next, 64);
}

}  // namespace
}  // namespace stucktrace::kernel
