#include "tracer/kernel/regs.h"

#include <gtest/gtest.h>
#include <linux/audit.h>
#include <sys/user.h>

#include <array>
#include <span>

namespace stucktrace::kernel {
namespace {

using syscalls::Abi;
using Args = std::array<std::uint64_t, 6>;

template <class T>
std::span<const std::byte> bytes_of(const T& object) {
  return std::as_bytes(std::span{&object, 1});
}

TEST(Registers, OfNobodyKnowNoCall) {
  EXPECT_EQ(call_in_registers({}).call.number, -1);
  EXPECT_EQ(abi_of(AUDIT_ARCH_S390X, 1), Abi::kUnknown);
}

#if defined(__x86_64__)

TEST(Registers, AbiByArchitectureAndNumber) {
  EXPECT_EQ(abi_of(AUDIT_ARCH_X86_64, 1), Abi::kX86_64);
  EXPECT_EQ(abi_of(AUDIT_ARCH_X86_64, 0x40000001), Abi::kX32);
  EXPECT_EQ(abi_of(AUDIT_ARCH_I386, 1), Abi::kI386);
}

TEST(Registers, OfA64BitTracee) {
  user_regs_struct registers{};
  registers.orig_rax = 7;
  registers.rax = static_cast<unsigned long long>(-514);
  registers.rdi = 1;
  registers.rsi = 2;
  registers.rdx = 3;
  registers.r10 = 4;
  registers.r8 = 5;
  registers.r9 = 6;
  RegisterBytes bytes;
  bytes.general = bytes_of(registers);
  InterruptedCall found = call_in_registers(bytes);
  EXPECT_EQ(found.call.abi, Abi::kX86_64);
  EXPECT_EQ(found.call.number, 7);
  EXPECT_EQ(found.call.args, (Args{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(found.result, -514);
  registers.orig_rax = 0x40000000 | 7;
  EXPECT_EQ(call_in_registers(bytes).call.abi, Abi::kX32);
  registers.orig_rax = static_cast<unsigned long long>(-1);  // in user code
  found = call_in_registers(bytes);
  EXPECT_EQ(found.call.number, -1);
  EXPECT_EQ(found.call.abi, Abi::kX86_64);
}

TEST(Registers, OfA32BitTracee) {
  // ebx ecx edx esi edi ebp eax xds xes xfs xgs orig_eax eip xcs eflags esp xss
  const std::array<std::int32_t, 17> words = {1, 2, 3,   4, 5, -6, -512, 0, 0,
                                              0, 0, 168, 0, 0, 0,  0,    0};
  RegisterBytes bytes;
  bytes.general = bytes_of(words);
  const InterruptedCall found = call_in_registers(bytes);
  EXPECT_EQ(found.call.abi, Abi::kI386);
  EXPECT_EQ(found.call.number, 168);
  EXPECT_EQ(found.call.args, (Args{1, 2, 3, 4, 5, 0xfffffffa}));
  EXPECT_EQ(found.result, -512);
}

TEST(Registers, OfAnI386CallInA64BitTracee) {
  user_regs_struct registers{};
  registers.orig_rax = 3;
  registers.rax = 0xfffffe00;  // -512 in 32 bits
  registers.rbx = 1;
  registers.rcx = 0x7fff'0000'1234;
  registers.rdx = 3;
  registers.rsi = 4;
  registers.rdi = 5;
  registers.rbp = 6;
  RegisterBytes bytes;
  bytes.general = bytes_of(registers);
  bytes.audit_arch = AUDIT_ARCH_I386;
  const InterruptedCall found = call_in_registers(bytes);
  EXPECT_EQ(found.call.abi, Abi::kI386);
  EXPECT_EQ(found.call.number, 3);
  EXPECT_EQ(found.call.args, (Args{1, 0x1234, 3, 4, 5, 6}));
  EXPECT_EQ(found.result, -512);
}

TEST(Registers, AnArgumentIsPutWhereItsAbiHasIt) {
  user_regs_struct registers{};
  registers.rbx = 0x1111'2222'3333'4444;
  const auto bytes = std::as_writable_bytes(std::span{&registers, 1});
  put_argument(bytes, Abi::kX86_64, 0, 7);
  put_argument(bytes, Abi::kX32, 3, 8);
  EXPECT_EQ(registers.rdi, 7U);
  EXPECT_EQ(registers.r10, 8U);
  put_argument(bytes, Abi::kI386, 0, 9);
  EXPECT_EQ(registers.rdi, 7U);
  EXPECT_EQ(registers.rbx, 0x1111'2222'0000'0009U) << "the upper half is the program's";
  std::array<std::uint32_t, 17> words{};
  put_argument(std::as_writable_bytes(std::span{words}), Abi::kI386, 1, 5);
  EXPECT_EQ(words[1], 5U);
  EXPECT_EQ(words[0], 0U);
}

class OwnCalls : public testing::Test {
 protected:
  user_regs_struct after(std::uint64_t orig_rax, std::int64_t rax, bool at_entry) {
    user_regs_struct registers{};
    registers.rip = 0x401002;
    registers.orig_rax = orig_rax;
    registers.rax = static_cast<std::uint64_t>(rax);
    put_call_again(std::as_writable_bytes(std::span{&registers, 1}), at_entry);
    EXPECT_EQ(registers.orig_rax, ~0ULL) << "the kernel has nothing to restart any more";
    return registers;
  }
};

TEST_F(OwnCalls, ACallIsMadeByItsInstruction) {
  user_regs_struct registers{};
  registers.rsp = 0x7000;
  registers.orig_rax = 1;
  put_call(std::as_writable_bytes(std::span{&registers, 1}), 0x401000, 9, {1, 2, 3, 4, 5, 6});
  EXPECT_EQ(registers.rip, 0x401000U);
  EXPECT_EQ(registers.rax, 9U);
  EXPECT_EQ(registers.orig_rax, ~0ULL);
  EXPECT_EQ(registers.rsp, 0x7000U);
  registers.orig_rax = 9;
  RegisterBytes bytes;
  bytes.general = bytes_of(registers);
  EXPECT_EQ(call_in_registers(bytes).call.args, (Args{1, 2, 3, 4, 5, 6}));
  registers.rax = static_cast<std::uint64_t>(-22);
  EXPECT_EQ(result_in(bytes.general), -22);
  EXPECT_EQ(call_instruction().size(), 2U);
}

TEST_F(OwnCalls, TheOneAtWhoseEntryItStandsBeginsAnew) {
  const user_regs_struct registers = after(257, -38, true);
  EXPECT_EQ(registers.rip, 0x401000U);
  EXPECT_EQ(registers.rax, 257U);
}

TEST_F(OwnCalls, SoDoesOneThatIsRestarted) {
  for (const std::int64_t result : {-512, -513, -514}) {
    const user_regs_struct registers = after(0, result, false);
    EXPECT_EQ(registers.rip, 0x401000U);
    EXPECT_EQ(registers.rax, 0U);
  }
  EXPECT_EQ(after(35, -516, false).rax, 219U) << "restart_syscall";
}

TEST_F(OwnCalls, OneThatHasEndedDoesNot) {
  for (const std::int64_t result : {-4, -515, 0, 7}) {
    const user_regs_struct registers = after(0, result, false);
    EXPECT_EQ(registers.rip, 0x401002U);
    EXPECT_EQ(static_cast<std::int64_t>(registers.rax), result);
  }
  EXPECT_EQ(after(~0ULL, -512, false).rip, 0x401002U) << "in user code";
}

TEST_F(OwnCalls, A32BitTraceeMakesNone) {
  std::array<std::byte, 68> words{};
  EXPECT_FALSE(can_call(words));
  put_call(words, 1, 2, {3});
  put_call_again(words, true);
  EXPECT_EQ(words, (std::array<std::byte, 68>{}));
  EXPECT_LT(result_in(words), 0);
}

#elif defined(__aarch64__)

class Aarch64Registers : public testing::Test {
 protected:
  Aarch64Registers() {
    for (std::size_t i = 0; i < 6; ++i) registers_.regs[i] = i + 1;
    registers_.regs[8] = 63;
    registers_.pc = 0x400100;
    bytes_.general = bytes_of(registers_);
    bytes_.system_call = bytes_of(number_);
    bytes_.code = bytes_of(instruction_);
  }
  user_regs_struct registers_{};
  std::int32_t number_ = -1;
  std::uint32_t instruction_ = 0xd503201f;  // nop
  RegisterBytes bytes_;
};

TEST_F(Aarch64Registers, AbiByArchitecture) {
  EXPECT_EQ(abi_of(AUDIT_ARCH_AARCH64, 63), Abi::kAarch64);
  EXPECT_EQ(abi_of(AUDIT_ARCH_ARM, 3), Abi::kUnknown);
}

TEST_F(Aarch64Registers, TheNumberHasARegsetOfItsOwn) {
  number_ = 63;
  const InterruptedCall found = call_in_registers(bytes_);
  EXPECT_EQ(found.call.abi, Abi::kAarch64);
  EXPECT_EQ(found.call.number, 63);
  EXPECT_EQ(found.call.args, (Args{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(found.result, 1);
}

TEST_F(Aarch64Registers, ACallToBeMadeAgainIsSeenByTheCode) {
  EXPECT_EQ(code_address(bytes_.general), 0x400100U);
  EXPECT_EQ(call_in_registers(bytes_).call.number, -1);
  instruction_ = 0xd4000001;  // svc #0
  const InterruptedCall found = call_in_registers(bytes_);
  EXPECT_EQ(found.call.number, 63);
  EXPECT_EQ(found.call.args[0], 1U);
  EXPECT_EQ(found.result, -512);
}

TEST_F(Aarch64Registers, CallsOfItsOwn) {
  const std::span<std::byte> general = std::as_writable_bytes(std::span{&registers_, 1});
  put_call_again(general, false);
  EXPECT_EQ(registers_.pc, 0x400100U) << "wound back by the kernel";
  put_call_again(general, true);
  EXPECT_EQ(registers_.pc, 0x4000fcU);
  put_call(general, 0x500000, 222, {9, 8, 7, 6, 5, 4});
  EXPECT_EQ(registers_.pc, 0x500000U);
  EXPECT_EQ(registers_.regs[8], 222U);
  EXPECT_EQ(registers_.regs[5], 4U);
  EXPECT_EQ(result_in(general), 9);
}

TEST_F(Aarch64Registers, A32BitTraceeHasNoTable) {
  bytes_.general = bytes_.general.first(72);
  EXPECT_EQ(call_in_registers(bytes_).call.abi, Abi::kUnknown);
  EXPECT_EQ(code_address(bytes_.general), 0U);
}

#endif

}  // namespace
}  // namespace stucktrace::kernel
