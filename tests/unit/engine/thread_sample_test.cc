#include "tracer/engine/thread_sample.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/support/fake_proc.h"

namespace stucktrace::engine {
namespace {

using base::Pid;
using base::Tid;

class ThreadSampleTest : public testing::Test {
 protected:
  static constexpr int kTid = 0x3f000001;

  // A name tells whether the thread's other files were read again.
  void stands(
      const std::string& name, const std::string& schedule, char state = 'S',
      const std::string& call = "0 0x3 0x0 0x0 0x0 0x0 0x0 0x7ffe00000000 0x7f0000000000\n") {
    proc_.add({.pid = kTid, .tid = kTid, .comm = name, .state = state, .syscall = call});
    proc_.write(fmt::format("{0}/task/{0}/schedstat", kTid), schedule);
  }
  ThreadSample sample() {
    const auto read = sample_thread(procfs_, Pid{kTid}, Tid{kTid}, book_.before(Tid{kTid}));
    EXPECT_TRUE(read);
    ThreadSample result = read.value_or(ThreadSample{});
    book_.keep(Tid{kTid}, result);
    return result;
  }
  ThreadSample next_look() {
    book_.turn();
    return sample();
  }

  test::FakeProc proc_;
  kernel::Procfs procfs_{proc_.root()};
  SampleBook book_;
};

TEST_F(ThreadSampleTest, WhoHasNotRunIsAsItWas) {
  stands("one", "10 20 3\n");
  EXPECT_FALSE(sample().taken_over);
  stands("two", "10 20 3\n");
  const ThreadSample again = next_look();
  EXPECT_TRUE(again.taken_over);
  EXPECT_EQ(again.comm, "one");
  EXPECT_EQ(again.pulse.schedule, "10 20 3\n");
}

TEST_F(ThreadSampleTest, WhatOthersMayChangeIsNeverOlderThanOneLook) {
  stands("one", "10 20 3\n");
  sample();
  next_look();
  stands("two", "10 20 3\n");
  EXPECT_EQ(next_look().comm, "two");
}

TEST_F(ThreadSampleTest, WhoHasRunIsReadAgain) {
  stands("one", "10 20 3\n");
  sample();
  stands("two", "11 20 4\n");
  EXPECT_EQ(next_look().comm, "two");
}

TEST_F(ThreadSampleTest, NothingIsTakenOverOfWhoRanOrIsNotCounted) {
  stands("one", "10 20 3\n", 'R', "running\n");
  sample();
  stands("two", "10 20 3\n", 'R', "running\n");
  EXPECT_EQ(next_look().comm, "two");

  stands("one", "0 0 0\n");  // the kernel does not count
  next_look();
  stands("two", "0 0 0\n");
  EXPECT_EQ(next_look().comm, "two");
}

// Woken and not on a CPU yet: only the line tells. Taken over is what it was, and that it still is
// so is denied.
TEST_F(ThreadSampleTest, WhoIsAboutToRunDoesNotStandStill) {
  stands("one", "10 20 3\n");
  sample();
  stands("one", "10 20 3\n", 'R', "running\n");
  const ThreadSample again = next_look();
  EXPECT_TRUE(again.taken_over);
  EXPECT_FALSE(stands_still(procfs_, Pid{kTid}, Tid{kTid}, again.pulse));
}

}  // namespace
}  // namespace stucktrace::engine
