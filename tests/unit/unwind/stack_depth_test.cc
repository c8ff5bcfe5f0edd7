#include "tracer/unwind/stack_depth.h"

#include <gtest/gtest.h>
#include <ucontext.h>

#include <cstddef>
#include <map>

namespace stucktrace::unwind {
namespace {

#if defined(__x86_64__)

// Memory made by hand: code below kStack, the stack from there on.
class StackDepthTest : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kFunction = 0x401000, kOther = 0x401800, kCaller = 0x402000,
                                 kTable = 0x403000, kStack = 0x7ffe0000;

  void put(std::uint64_t address, std::initializer_list<unsigned> bytes) {
    for (const unsigned byte : bytes) memory_[address++] = static_cast<std::byte>(byte);
  }
  void put_word(std::uint64_t address, std::uint64_t word) {
    for (int i = 0; i < 8; ++i) memory_[address++] = static_cast<std::byte>(word >> (8 * i));
  }
  // call (0xe8) or jmp (0xe9); returns where it ends.
  std::uint64_t put_branch(unsigned opcode, std::uint64_t at, std::uint64_t target) {
    const auto distance = static_cast<std::uint32_t>(target - (at + 5));
    put(at, {opcode, distance & 0xff, distance >> 8 & 0xff, distance >> 16 & 0xff, distance >> 24});
    return at + 5;
  }
  std::uint64_t put_call(std::uint64_t at, std::uint64_t target) {
    return put_branch(0xe8, at, target);
  }
  // push rbx; sub rsp,0x20; xor eax,eax; syscall. Returns where the call returns to.
  std::uint64_t put_waiting(std::uint64_t at) {
    put(at,
        {0x53, 0x48, 0x83, 0xec, 0x20, 0x31, 0xc0, 0x0f, 0x05, 0x48, 0x83, 0xc4, 0x20, 0x5b, 0xc3});
    return at + 9;
  }

  BareCode code_at(std::optional<std::uint64_t> start) {
    const ReadBytes read = [this](std::uint64_t address, std::span<std::byte> out) {
      std::size_t done = 0;
      for (; done < out.size(); ++done) {
        if (address + done < kFunction || address + done >= kStack + 8192) break;
        const auto found = memory_.find(address + done);
        out[done] = found == memory_.end() ? std::byte{0xcc} : found->second;
      }
      return done;
    };
    BareCode code;
    code.start = start;
    code.possible_starts = [this] { return possible_starts_; };
    code.read_code = [read](std::uint64_t address, std::span<std::byte> out) -> std::size_t {
      return address < kTable ? read(address, out) : 0;
    };
    code.read_data = read;
    code.is_constant = [this](std::uint64_t address) { return address == kTable && constant_; };
    return code;
  }
  std::optional<BareCaller> caller(std::uint64_t pc, std::optional<std::uint64_t> start = {},
                                   bool after_call = false) {
    depth_.begin();
    const auto found = depth_.caller({pc, kStack, after_call}, code_at(start));
    depth_.end();
    return found;
  }
  StackDepth::FramePointer frame_pointer(std::uint64_t pc, std::uint64_t start) {
    depth_.begin();
    const auto found = depth_.frame_pointer({pc, kStack, false}, code_at(start));
    depth_.end();
    return found;
  }
  void expect_caller(const std::optional<BareCaller>& got, std::uint64_t pc, std::uint64_t depth) {
    ASSERT_TRUE(got);
    EXPECT_FALSE(got->outermost);
    EXPECT_FALSE(got->interrupted);
    EXPECT_EQ(got->pc, pc);
    EXPECT_EQ(got->stack_pointer, kStack + depth + 8);
  }

  std::map<std::uint64_t, std::byte> memory_;
  std::vector<std::uint64_t> possible_starts_;
  bool constant_ = true;  // what stands in the table
  StackDepth depth_;
};

TEST_F(StackDepthTest, FindsTheCallOfTheFunctionItIsIn) {
  const std::uint64_t pc = put_waiting(kFunction);
  const std::uint64_t back = put_call(kCaller, kFunction);
  put_word(kStack + 0x28, back);
  expect_caller(caller(pc), back, 0x28);
}

TEST_F(StackDepthTest, PassesOverLeftOversOfEarlierCalls) {
  const std::uint64_t pc = put_waiting(kFunction);
  const std::uint64_t back = put_call(kCaller, kFunction);
  put_word(kStack + 0x08, back);  // of this very function, at another depth
  put_word(kStack + 0x10, put_call(kCaller + 64, kOther));  // of another
  put_word(kStack + 0x28, back);
  expect_caller(caller(pc), back, 0x28);
}

TEST_F(StackDepthTest, FollowsTailCallsAndLinkageTables) {
  const std::uint64_t pc = put_waiting(kFunction);
  put(kOther, {0x48, 0x83, 0xec, 0x08, 0x48, 0x83, 0xc4, 0x08});  // something, and undone
  put_branch(0xe9, kOther + 8, kFunction);
  // kCaller + 0x100: jmp [kTable], which leads to kOther
  const auto distance = static_cast<std::uint32_t>(kTable - (kCaller + 0x106));
  put(kCaller + 0x100,
      {0xff, 0x25, distance & 0xff, distance >> 8 & 0xff, distance >> 16 & 0xff, distance >> 24});
  put_word(kTable, kOther);
  const std::uint64_t back = put_call(kCaller, kCaller + 0x100);
  put_word(kStack + 0x28, back);
  expect_caller(caller(pc), back, 0x28);
}

TEST_F(StackDepthTest, TakesACallByPointerWhereTheStartIsKnown) {
  const std::uint64_t pc = put_waiting(kFunction);
  put(kCaller, {0x90, 0x90, 0x90, 0x90, 0x90, 0x41, 0xff, 0xd1});  // call r9
  put_word(kStack + 0x28, kCaller + 8);
  EXPECT_FALSE(caller(pc));
  depth_.forget();
  expect_caller(caller(pc, kFunction), kCaller + 8, 0x28);
}

TEST_F(StackDepthTest, TakesWhatAllPossibleStartsAgreeOn) {
  const std::uint64_t pc = put_waiting(kFunction);
  put(kCaller, {0x90, 0x90, 0x90, 0x90, 0x90, 0x41, 0xff, 0xd1});
  put_word(kStack + 0x28, kCaller + 8);
  possible_starts_ = {kFunction - 64, kFunction};  // before it stands nothing that leads here
  expect_caller(caller(pc), kCaller + 8, 0x28);
  // Entered behind its first push it would have been called by something else.
  put_word(kStack + 0x20, kCaller + 8);
  possible_starts_ = {kFunction, kFunction + 1};
  depth_.forget();
  EXPECT_FALSE(caller(pc));
}

TEST_F(StackDepthTest, TheCallMustLeadHereAsFarAsThatCanBeSeen) {
  const std::uint64_t pc = put_waiting(kFunction);
  put(kOther, {0xc3});  // ret
  const std::uint64_t back = put_call(kCaller, kOther);
  put_word(kStack + 0x28, back);
  EXPECT_FALSE(caller(pc, kFunction));
  put(kOther, {0xff, 0xe0});  // jmp rax: may well be to here
  depth_.forget();
  expect_caller(caller(pc, kFunction), back, 0x28);
}

TEST_F(StackDepthTest, NeedsACallBeforeTheReturnAddress) {
  const std::uint64_t pc = put_waiting(kFunction);
  put(kCaller, {0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90});
  put_word(kStack + 0x28, kCaller + 8);
  EXPECT_FALSE(caller(pc, kFunction));
}

TEST_F(StackDepthTest, WhereItIsMustHaveMadeACallUnlessItIsInnermost) {
  const std::uint64_t pc = put_waiting(kFunction);
  const std::uint64_t back = put_call(kCaller, kFunction);
  put_word(kStack + 0x28, back);
  EXPECT_FALSE(caller(pc, kFunction, true));
  // push rbx; call; nothing behind it: it never returns
  put(kOther, {0x53});
  const std::uint64_t inside = put_call(kOther + 1, kFunction);
  const std::uint64_t outer = put_call(kCaller + 64, kOther);
  put_word(kStack + 0x08, outer);
  expect_caller(caller(inside, {}, true), outer, 0x08);
}

TEST_F(StackDepthTest, FollowsTheFramePointerAcrossGrowth) {
  // push rbp; mov rbp,rsp; sub rsp,rax (alloca); lea rsp,[rbp-0x20]; syscall
  put(kFunction, {0x55, 0x48, 0x89, 0xe5, 0x48, 0x8d, 0x65, 0xe0, 0x0f, 0x05});
  const std::uint64_t back = put_call(kCaller, kFunction);
  put_word(kStack + 0x28, back);
  expect_caller(caller(kFunction + 10), back, 0x28);
  put(kOther, {0x55, 0x48, 0x89, 0xe5, 0x48, 0x29, 0xc4, 0x0f, 0x05});
  put_word(kStack + 0x28, put_call(kCaller + 64, kOther));
  EXPECT_FALSE(caller(kOther + 9, kOther)) << "how much was taken is not known";
}

TEST_F(StackDepthTest, TellsNothingWhereSomeWayGrowsTheStackByWhatIsNotInTheCode) {
  // test edi,edi; je over; sub rsp,rax; over: syscall. Without the growth a left-over would fit.
  put(kFunction, {0x53, 0x85, 0xff, 0x74, 0x03, 0x48, 0x29, 0xc4, 0x0f, 0x05});
  const std::uint64_t back = put_call(kCaller, kFunction);
  put_word(kStack + 0x08, back);
  EXPECT_FALSE(caller(kFunction + 10, kFunction));
  EXPECT_FALSE(caller(kFunction + 10));
}

TEST_F(StackDepthTest, TellsNothingWhereMoreThanOneDepthIsConfirmed) {
  // again: push rax; dec edi; jne again; syscall
  put(kFunction, {0x50, 0xff, 0xcf, 0x75, 0xfb, 0x0f, 0x05});
  const std::uint64_t back = put_call(kCaller, kFunction);
  for (std::uint64_t depth = 0; depth < 0x1000; depth += 8) put_word(kStack + depth, 0);
  put_word(kStack + 0x20, back);
  expect_caller(caller(kFunction + 7, kFunction), back, 0x20);
  put_word(kStack + 0x40, back);
  EXPECT_FALSE(caller(kFunction + 7, kFunction));
  EXPECT_FALSE(caller(kFunction + 7));
}

TEST_F(StackDepthTest, BelievesAPointerOnlyWhereNobodyWritesIt) {
  const std::uint64_t pc = put_waiting(kFunction);
  put(kOther, {0xc3});
  // call [kTable], which leads elsewhere now
  const auto distance = static_cast<std::uint32_t>(kTable - (kCaller + 6));
  put(kCaller,
      {0xff, 0x15, distance & 0xff, distance >> 8 & 0xff, distance >> 16 & 0xff, distance >> 24});
  put_word(kTable, kOther);
  put_word(kStack + 0x28, kCaller + 6);
  EXPECT_FALSE(caller(pc, kFunction));
  constant_ = false;
  depth_.forget();
  expect_caller(caller(pc, kFunction), kCaller + 6, 0x28);
}

TEST_F(StackDepthTest, ReadsTheBytesBeforeAReturnAddressInEveryWay) {
  const std::uint64_t pc = put_waiting(kFunction);
  // mov r8,rbp; xor eax,eax; call rbx: its bytes hold an e8 five before the end
  put(kCaller, {0x49, 0x89, 0xe8, 0x31, 0xc0, 0xff, 0xd3});
  put_word(kStack + 0x28, kCaller + 7);
  expect_caller(caller(pc, kFunction), kCaller + 7, 0x28);
}

TEST_F(StackDepthTest, DoesNotSeeThroughThunksOfIndirectCalls) {
  const std::uint64_t pc = put_waiting(kFunction);
  // call over; loop: pause; jmp loop; over: mov [rsp],rax; ret
  put(kOther, {0xe8, 0x04, 0, 0, 0, 0xf3, 0x90, 0xeb, 0xfc, 0x48, 0x89, 0x04, 0x24, 0xc3});
  const std::uint64_t back = put_call(kCaller, kOther);
  put_word(kStack + 0x28, back);
  expect_caller(caller(pc, kFunction), back, 0x28);
}

TEST_F(StackDepthTest, KnowsThatWhatLeftTheStackItWasGivenHasNoCaller) {
  // pop rdi; call r9, as the start of a thread does
  put(kFunction, {0x5f, 0x41, 0xff, 0xd1, 0xf4});
  const auto got = caller(kFunction + 4, kFunction, true);
  ASSERT_TRUE(got);
  EXPECT_TRUE(got->outermost);
  // pop rdx; syscall; push rdx, as vfork(2) does: it has one, which the stack does not name.
  put(kOther, {0x5a, 0x0f, 0x05, 0x52, 0xc3});
  EXPECT_FALSE(caller(kOther + 3, kOther));
}

TEST_F(StackDepthTest, GoesFromAHandlerToWhatItsSignalInterrupted) {
  const std::uint64_t pc = put_waiting(kFunction);
  put(kOther, {0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05});
  put_word(kStack + 0x28, kOther);
  const auto put_saved = [this](std::uint64_t context, int index, std::uint64_t value) {
    put_word(context + offsetof(ucontext_t, uc_mcontext.gregs) + 8 * static_cast<unsigned>(index),
             value);
  };
  put_saved(kStack + 0x30, REG_RIP, 0x5000);
  put_saved(kStack + 0x30, REG_RSP, kStack + 0x800);
  EXPECT_FALSE(caller(pc, kFunction)) << "a left-over: it interrupted no code";
  put_saved(kStack + 0x30, REG_RIP, kFunction);
  expect_caller(caller(pc, kFunction), kOther, 0x28);

  put_saved(kStack, REG_RIP, kFunction + 9);
  put_saved(kStack, REG_RSP, kStack + 0x1000);
  put_saved(kStack, REG_RBP, 0x1234);
  const auto got = caller(kOther, {}, true);
  ASSERT_TRUE(got);
  EXPECT_TRUE(got->interrupted);
  EXPECT_EQ(got->pc, kFunction + 9);
  EXPECT_EQ(got->stack_pointer, kStack + 0x1000);
  EXPECT_EQ(got->frame_pointer, 0x1234U);
}

TEST_F(StackDepthTest, TellsTheFramePointerFromAllThatMovedTheStack) {
  // push rbp; mov rbp,rsp; sub rsp,16; push rax; push rax (arguments); syscall
  put(kFunction, {0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xec, 0x10, 0x50, 0x50, 0x0f, 0x05});
  put_word(kStack + 0x28, put_call(kCaller, kFunction));
  EXPECT_EQ(frame_pointer(kFunction + 12, kFunction).value, kStack + 0x20);
  // With a growth that is not in the code it is not told, nor is the prologue to be trusted.
  put(kOther, {0x55, 0x48, 0x89, 0xe5, 0x48, 0x29, 0xc4, 0x0f, 0x05});
  put_word(kStack + 0x08, put_call(kCaller + 64, kOther));
  EXPECT_FALSE(frame_pointer(kOther + 9, kOther).value);
  EXPECT_TRUE(frame_pointer(kOther + 9, kOther).moves);
}

TEST_F(StackDepthTest, EndsWithCodeThatDoesNot) {
  // push rax; jmp to itself; and a loop that pushes for ever
  put(kFunction, {0x50, 0xeb, 0xfd});
  put_word(kStack, put_call(kCaller, kFunction));
  EXPECT_FALSE(caller(kFunction + 0x100, kFunction));
}

#else

TEST(StackDepthTest, IsForX86Only) {
  EXPECT_FALSE(StackDepth().caller({}, BareCode{}));
}

#endif

}  // namespace
}  // namespace stucktrace::unwind
