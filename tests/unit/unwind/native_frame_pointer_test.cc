#include "tracer/unwind/native_frame_pointer.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>

namespace stucktrace::unwind {
namespace {

#if defined(__x86_64__)

// Memory made by hand: code at kFunction and kCaller, stack at kStack.
class NativeFramePointer : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kFunction = 0x401000, kCaller = 0x402000, kStack = 0x7ffe0000;

  void put(std::uint64_t address, std::initializer_list<unsigned> bytes) {
    for (const unsigned byte : bytes) memory_[address++] = static_cast<std::byte>(byte);
  }
  void put_word(std::uint64_t address, std::uint64_t word) {
    for (int i = 0; i < 8; ++i) memory_[address++] = static_cast<std::byte>(word >> (8 * i));
  }
  // A call of `target`; returns the return address.
  std::uint64_t put_call(std::uint64_t at, std::uint64_t target) {
    const auto distance = static_cast<std::uint32_t>(target - (at + 5));
    put(at, {0xe8, distance & 0xff, distance >> 8 & 0xff, distance >> 16 & 0xff, distance >> 24});
    return at + 5;
  }
  std::optional<std::uint64_t> deduce() {
    const ReadBytes read = [this](std::uint64_t address, std::span<std::byte> out) {
      std::size_t done = 0;
      for (; done < out.size(); ++done) {
        // Pages that hold anything read as zero where nothing was put.
        if (address + done < kFunction || address + done >= kStack + 8192) break;
        const auto found = memory_.find(address + done);
        out[done] = found == memory_.end() ? std::byte{0} : found->second;
      }
      return done;
    };
    return deduce_frame_pointer({kFunction, kFunction + 40, kStack}, read, read);
  }

  std::map<std::uint64_t, std::byte> memory_;
};

TEST_F(NativeFramePointer, FollowsFromTheSizeOfTheLocals) {
  put(kFunction, {0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xec, 0x20});  // sub rsp,0x20
  put_word(kStack + 0x28, put_call(kCaller, kFunction));
  EXPECT_EQ(deduce(), kStack + 0x20);
}

TEST_F(NativeFramePointer, CountsPushedRegistersAndLargeFrames) {
  put(kFunction, {0xf3, 0x0f, 0x1e, 0xfa, 0x55, 0x48, 0x89, 0xe5, 0x41, 0x57, 0x53, 0x48, 0x81,
                  0xec, 0x00, 0x02, 0x00, 0x00});
  put_word(kStack + 0x218, put_call(kCaller, kFunction));
  EXPECT_EQ(deduce(), kStack + 0x210);
}

TEST_F(NativeFramePointer, ReadsAPrologueMixedWithMoves) {
  put(kFunction,
      {0x55, 0x31, 0xc0,                                   // push rbp; xor eax,eax
       0x48, 0x89, 0xe5, 0x41, 0x54, 0x49, 0x89, 0xf4,     // mov rbp,rsp; push r12; mov r12,rsi
       0x53, 0x48, 0x8d, 0x05, 0x00, 0x15, 0x10, 0x00,     // push rbx; lea rax,[rip+...]
       0x64, 0x48, 0x8b, 0x04, 0x25, 0x28, 0,    0,    0,  // mov rax,fs:0x28
       0x48, 0x81, 0xec, 0x30, 0x01, 0,    0});            // sub rsp,0x130
  put(kCaller, {0x90, 0xff, 0x15, 0x10, 0, 0, 0});         // call [rip+0x10]
  put_word(kStack + 0x148, kCaller + 7);
  EXPECT_EQ(deduce(), kStack + 0x140);
}

TEST_F(NativeFramePointer, KnowsThatAFrameWithoutLocalsEndsAtItsFirstCall) {
  put(kFunction, {0x55, 0x48, 0x89, 0xe5, 0x50, 0xe8, 0, 0, 0, 0});  // push rax; call
  put(kCaller, {0x90, 0x90, 0x90, 0x90, 0x90, 0xff, 0xd0});
  put_word(kStack + 0x10, kCaller + 7);
  EXPECT_EQ(deduce(), kStack + 8);
}

TEST_F(NativeFramePointer, IsNotDeducedWhereSomethingElseChangesTheStackPointer) {
  put(kFunction, {0x55, 0x48, 0x89, 0xe5, 0x48, 0x89, 0xc4, 0xe8, 0, 0, 0, 0});  // mov rsp,rax
  put(kCaller, {0x90, 0x90, 0x90, 0x90, 0x90, 0xff, 0xd0});
  put_word(kStack + 8, kCaller + 7);
  EXPECT_EQ(deduce(), std::nullopt);
}

TEST_F(NativeFramePointer, AcceptsIndirectCallsOnlyAtTheExactPlace) {
  put(kFunction, {0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xec, 0x20});
  put(kCaller, {0x90, 0x90, 0x90, 0x90, 0x90, 0xff, 0xd0});  // call rax
  put_word(kStack + 0x28, kCaller + 7);
  EXPECT_EQ(deduce(), kStack + 0x20);
  put_word(kStack + 0x28, 0);
  put_word(kStack + 0x38, kCaller + 7);
  EXPECT_EQ(deduce(), std::nullopt);
}

TEST_F(NativeFramePointer, FindsAGrownFrameByItsOnlyDirectCall) {
  put(kFunction, {0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xec, 0x20});
  put_word(kStack + 0x28, 0x1234);  // the frame was grown: no return address where locals end
  put_word(kStack + 0x128, put_call(kCaller, kFunction));
  EXPECT_EQ(deduce(), kStack + 0x120);
  // A second place leaves it open which is the live one.
  put_word(kStack + 0x228, kCaller + 5);
  EXPECT_EQ(deduce(), std::nullopt);
}

TEST_F(NativeFramePointer, NeedsAReturnAddressBehindACall) {
  put(kFunction, {0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xec, 0x20});
  put_word(kStack + 0x28, kCaller + 64);  // code, but no call before it
  EXPECT_EQ(deduce(), std::nullopt);
}

TEST_F(NativeFramePointer, IsNotDeducedForOtherPrologues) {
  put(kFunction, {0x48, 0x83, 0xec, 0x20});  // no frame pointer
  put_word(kStack + 0x28, put_call(kCaller, kFunction));
  EXPECT_EQ(deduce(), std::nullopt);
}

#endif

}  // namespace
}  // namespace stucktrace::unwind
