#include "tracer/unwind/known_walks.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <vector>

namespace stucktrace::unwind {
namespace {

constexpr std::uint64_t kStack = 0x7f00'0000'0f80;
constexpr std::uint64_t kCode = 0x5555'0000'1000;

// A stack of eight words, of which a walk has read a saved frame pointer and a return address.
class Stack {
 public:
  explicit Stack(std::uint64_t at) : at_(at) {
    words_[2] = at_ + 0x20;
    words_[3] = kCode + 1;
  }
  std::uint64_t& operator[](std::size_t index) { return words_[index]; }
  StackCopy copy(std::size_t words = 8) const {
    StackCopy copy;
    copy.stack_pointer = at_;
    copy.program_counter = kCode;
    copy.start = at_;
    copy.bytes = std::as_bytes(std::span(words_).first(words));
    return copy;
  }

 private:
  std::uint64_t at_;
  std::array<std::uint64_t, 8> words_{};
};

class KnownWalksTest : public ::testing::Test {
 protected:
  void tell_reads(const Stack& stack) {
    Stack words = stack;
    walks_.begin();
    walks_.read_word(stack.copy(), kStack + 16, words[2]);
    walks_.read_word(stack.copy(), kStack + 24, words[3]);
  }
  void keep(const Stack& stack) {
    tell_reads(stack);
    walks_.end(stack.copy(), walk_);
  }

  KnownWalks walks_;
  Walk walk_{{{kCode, true}, {kCode + 1, false}}, "", false};
};

TEST_F(KnownWalksTest, FindsTheWalkOfTheSameStack) {
  const Stack stack{kStack};
  EXPECT_EQ(walks_.find(stack.copy()), nullptr);
  keep(stack);
  const Walk* found = walks_.find(stack.copy());
  ASSERT_NE(found, nullptr);
  ASSERT_EQ(found->frames.size(), 2U);
  EXPECT_EQ(found->frames[1].pc, kCode + 1);
}

TEST_F(KnownWalksTest, AddressesOfTheStackMoveWithIt) {
  keep(Stack{kStack});
  EXPECT_NE(walks_.find(Stack{kStack + 0x10000}.copy()), nullptr);
  Stack stays{kStack + 0x10000};
  stays[2] = kStack + 0x20;
  EXPECT_EQ(walks_.find(stays.copy()), nullptr);
}

TEST_F(KnownWalksTest, AnotherReturnAddressIsAnotherStack) {
  keep(Stack{kStack});
  Stack other{kStack};
  other[3] = kCode + 2;
  EXPECT_EQ(walks_.find(other.copy()), nullptr);
}

TEST_F(KnownWalksTest, WordsThatWereNotReadDoNotMatter) {
  keep(Stack{kStack});
  Stack other{kStack};
  other[5] = 77;
  EXPECT_NE(walks_.find(other.copy()), nullptr);
}

TEST_F(KnownWalksTest, AnotherProgramCounterOrPlaceInAPageIsNotKnown) {
  keep(Stack{kStack});
  const Stack stack{kStack};
  StackCopy elsewhere = stack.copy();
  elsewhere.program_counter += 4;
  EXPECT_EQ(walks_.find(elsewhere), nullptr);
  EXPECT_EQ(walks_.find(Stack{kStack + 16}.copy()), nullptr);
}

TEST_F(KnownWalksTest, ACopyThatEndsBeforeAWordThatWasReadIsNotKnown) {
  keep(Stack{kStack});
  const Stack stack{kStack};
  EXPECT_NE(walks_.find(stack.copy(4)), nullptr);
  EXPECT_EQ(walks_.find(stack.copy(3)), nullptr);
}

TEST_F(KnownWalksTest, AWalkThatReadOtherMemoryIsNotKept) {
  const Stack stack{kStack};
  tell_reads(stack);
  walks_.read_elsewhere();
  walks_.end(stack.copy(), walk_);
  EXPECT_EQ(walks_.find(stack.copy()), nullptr);
}

TEST_F(KnownWalksTest, AWalkThatEndedEarlyIsNotKept) {
  walk_.note = "ends early";
  const Stack stack{kStack};
  keep(stack);
  EXPECT_EQ(walks_.find(stack.copy()), nullptr);
}

TEST_F(KnownWalksTest, CodeOnTheStackIsNotKept) {
  walk_.frames[1].pc = kStack + 8;
  const Stack stack{kStack};
  keep(stack);
  EXPECT_EQ(walks_.find(stack.copy()), nullptr);
}

TEST_F(KnownWalksTest, AFramePointerThatWasReadHasToBeTheSame) {
  const Stack stack{kStack};
  StackCopy stopped = stack.copy();
  stopped.frame_pointer = kStack + 0x30;
  tell_reads(stack);
  walks_.read_frame_pointer();
  walks_.end(stopped, walk_);
  EXPECT_NE(walks_.find(stopped), nullptr);
  EXPECT_EQ(walks_.find(stack.copy()), nullptr) << "of a thread that was not stopped";

  const Stack moved{kStack + 0x4000};
  StackCopy other = moved.copy();
  other.frame_pointer = kStack + 0x4030;
  EXPECT_NE(walks_.find(other), nullptr);
  other.frame_pointer = kStack + 0x30;
  EXPECT_EQ(walks_.find(other), nullptr);
}

TEST_F(KnownWalksTest, SeveralWalksOfOnePlaceAreKept) {
  std::vector<Stack> stacks;
  for (std::uint64_t i = 0; i < 8; ++i) {
    stacks.emplace_back(kStack);
    stacks.back()[3] = kCode + 0x100 + i;
    walk_.frames[1].pc = kCode + 0x100 + i;
    keep(stacks.back());
  }
  for (std::uint64_t i = 0; i < 8; ++i) {
    const Walk* found = walks_.find(stacks[i].copy());
    ASSERT_NE(found, nullptr) << i;
    EXPECT_EQ(found->frames[1].pc, kCode + 0x100 + i);
  }
  walks_.clear();
  EXPECT_EQ(walks_.find(stacks[0].copy()), nullptr);
}

}  // namespace
}  // namespace stucktrace::unwind
