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
  int ended = 0;  // this one's report is its end
  Waiter::WaitCall call() {
    return [this](int* status, bool block) {
      if (block) ++blocking_calls;
      if (answers.empty()) return block ? -ECHILD : 0;
      const int answer = answers.front();
      answers.pop_front();
      *status = answer == ended ? 0 : 0x57f;
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

TEST(Waiter, KnowsWhatItHasStillToHandOut) {
  FakeWait fake{{3, 2, 1, 0}};
  fake.ended = 1;
  Waiter waiter{fake.call()};
  EXPECT_TRUE(waiter.drained());
  WaitReport report;
  ASSERT_EQ(waiter.next(WaitHow::kBlock, report), Waiter::Outcome::kReport);
  EXPECT_FALSE(waiter.drained());
  EXPECT_TRUE(waiter.has_end_of(base::Tid{1}));
  EXPECT_FALSE(waiter.has_end_of(base::Tid{2})) << "only a stop";
  EXPECT_FALSE(waiter.has_end_of(base::Tid{3})) << "handed out";
  for (int i = 0; i < 2; ++i)
    ASSERT_EQ(waiter.next(WaitHow::kBlock, report), Waiter::Outcome::kReport);
  EXPECT_TRUE(waiter.drained());
  EXPECT_FALSE(waiter.has_end_of(base::Tid{1}));
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
