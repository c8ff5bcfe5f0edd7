#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace stucktrace::unwind {

// One x86-64 instruction, as far as it bears on where the stack pointer is and what runs next
// (Intel SDM volume 2, chapter 2 and appendix A).
struct X86Instruction {
  enum class Kind : std::uint8_t {
    kOther,             // leaves rsp alone
    kMoveStack,         // rsp += value: push, pop, add, sub, lea
    kSetFramePointer,   // rbp = rsp + value
    kFromFramePointer,  // rsp = rbp + value
    kLeave,             // rsp = rbp; pop rbp
    kLoseStack,         // rsp becomes what cannot be told from the code
    kLoseFramePointer,  // rbp is loaded with something else
    kPopFramePointer,   // pop rbp
    kCall,              // to `target`; nullopt: to what a register or memory holds
    kJump,              // likewise
    kBranch,            // to `target`, or on to the next one
    kEnd,               // ret, hlt, ud2, int3: nothing follows
  };
  Kind kind = Kind::kOther;
  std::size_t length = 0;
  std::int64_t value = 0;
  std::optional<std::uint64_t> target;
  std::optional<std::uint64_t> pointer;  // of a call or jump: the target stands at this address
};

inline constexpr std::size_t kLongestX86Instruction = 15;

// nullopt: no instruction of 64-bit mode, or cut off. `address` is that of code[0].
std::optional<X86Instruction> decode_x86(std::uint64_t address, std::span<const std::byte> code);

}  // namespace stucktrace::unwind
