#if defined(__x86_64__)

#include <linux/audit.h>
#include <sys/user.h>

#include <array>
#include <cstddef>
#include <cstring>

#include "tracer/kernel/regs.h"

namespace stucktrace::kernel {

const int kSystemCallRegset = 0;

syscalls::Abi abi_of(std::uint32_t audit_arch, std::uint64_t number) {
  constexpr std::uint64_t kX32Bit = 0x40000000;  // __X32_SYSCALL_BIT, asm/unistd.h
  switch (audit_arch) {
    case AUDIT_ARCH_X86_64:
      return (number & kX32Bit) != 0 ? syscalls::Abi::kX32 : syscalls::Abi::kX86_64;
    case AUDIT_ARCH_I386:
      return syscalls::Abi::kI386;
    default:
      return syscalls::Abi::kUnknown;
  }
}

std::uint64_t code_address(std::span<const std::byte>) {
  return 0;
}

InterruptedCall call_in_registers(const RegisterBytes& bytes) {
  // struct user_regs_struct of a 32-bit tracee is another, shorter one
  // (arch/x86/include/asm/user_32.h).
  constexpr std::size_t kWords32 = 17;
  InterruptedCall interrupted;
  if (bytes.general.size() < sizeof(user_regs_struct)) {
    std::array<std::int32_t, kWords32> words{};
    if (bytes.general.size() < sizeof words) return interrupted;
    std::memcpy(words.data(), bytes.general.data(), sizeof words);
    constexpr std::size_t kEax = 6;
    constexpr std::size_t kOrigEax = 11;
    interrupted.call.abi = syscalls::Abi::kI386;
    interrupted.call.number = words[kOrigEax];
    for (std::size_t i = 0; i < 6; ++i) {  // ebx ecx edx esi edi ebp, in this order
      interrupted.call.args[i] = static_cast<std::uint32_t>(words[i]);
    }
    interrupted.result = words[kEax];
    return interrupted;
  }
  user_regs_struct registers;
  std::memcpy(&registers, bytes.general.data(), sizeof registers);
  if (bytes.audit_arch == AUDIT_ARCH_I386) {  // int 0x80 of a 64-bit program
    const auto low = [](std::uint64_t word) { return static_cast<std::uint32_t>(word); };
    interrupted.call.abi = syscalls::Abi::kI386;
    interrupted.call.number = static_cast<std::int32_t>(low(registers.orig_rax));
    interrupted.call.args = {low(registers.rbx), low(registers.rcx), low(registers.rdx),
                             low(registers.rsi), low(registers.rdi), low(registers.rbp)};
    interrupted.result = static_cast<std::int32_t>(low(registers.rax));
    return interrupted;
  }
  interrupted.call.number = static_cast<std::int64_t>(registers.orig_rax);
  interrupted.call.abi = interrupted.call.number < 0
                             ? syscalls::Abi::kX86_64
                             : abi_of(AUDIT_ARCH_X86_64, registers.orig_rax);
  interrupted.call.args = {registers.rdi, registers.rsi, registers.rdx,
                           registers.r10, registers.r8,  registers.r9};
  interrupted.result = static_cast<std::int64_t>(registers.rax);
  return interrupted;
}

bool put_restart(std::span<std::byte> general) {
  constexpr std::int64_t kErestartNoHand = -514;  // include/linux/errno.h
  if (general.size() < sizeof(user_regs_struct)) return false;
  std::memcpy(general.data() + offsetof(user_regs_struct, rax), &kErestartNoHand,
              sizeof kErestartNoHand);
  return true;
}

void put_no_call(std::span<std::byte> general) {
  // The result register holds -ENOSYS since the entry (arch/x86/entry).
  if (general.size() < sizeof(user_regs_struct)) {
    constexpr std::size_t kOrigEax = 11;
    constexpr std::int32_t kNone = -1;
    if (general.size() < (kOrigEax + 1) * sizeof kNone) return;
    std::memcpy(general.data() + kOrigEax * sizeof kNone, &kNone, sizeof kNone);
    return;
  }
  constexpr std::int64_t kNone = -1;
  std::memcpy(general.data() + offsetof(user_regs_struct, orig_rax), &kNone, sizeof kNone);
}

}  // namespace stucktrace::kernel

#endif
