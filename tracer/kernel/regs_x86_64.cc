#if defined(__x86_64__)

#include <linux/audit.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <ucontext.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "tracer/kernel/regs.h"

namespace stucktrace::kernel {

const int kSystemCallRegset = 0;
const bool kArgumentsOutliveCall = true;

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

std::optional<StandingRegisters> standing_in(std::span<const std::byte> general) {
  if (general.size() < sizeof(user_regs_struct)) return std::nullopt;
  user_regs_struct registers;
  std::memcpy(&registers, general.data(), sizeof registers);
  return StandingRegisters{registers.rip, registers.rsp, registers.rbp};
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

void put_argument(std::span<std::byte> general, syscalls::Abi abi, unsigned index,
                  std::uint64_t value) {
  if (general.size() < sizeof(user_regs_struct)) {
    // ebx ecx edx esi edi ebp are the first words, in this order.
    const auto word = static_cast<std::uint32_t>(value);
    if (general.size() < (index + 1) * sizeof word) return;
    std::memcpy(general.data() + index * sizeof word, &word, sizeof word);
    return;
  }
  constexpr std::array<std::size_t, 6> kArguments{
      offsetof(user_regs_struct, rdi), offsetof(user_regs_struct, rsi),
      offsetof(user_regs_struct, rdx), offsetof(user_regs_struct, r10),
      offsetof(user_regs_struct, r8),  offsetof(user_regs_struct, r9)};
  constexpr std::array<std::size_t, 6> kArguments32{
      offsetof(user_regs_struct, rbx), offsetof(user_regs_struct, rcx),
      offsetof(user_regs_struct, rdx), offsetof(user_regs_struct, rsi),
      offsetof(user_regs_struct, rdi), offsetof(user_regs_struct, rbp)};
  const bool narrow = abi == syscalls::Abi::kI386;  // the upper halves are the program's
  const std::size_t place = (narrow ? kArguments32 : kArguments).at(index);
  std::memcpy(general.data() + place, &value, narrow ? sizeof(std::uint32_t) : sizeof value);
}

std::span<const std::byte> call_instruction() {
  static constexpr std::array kSyscall{std::byte{0x0f}, std::byte{0x05}};
  return kSyscall;
}

bool can_call(std::span<const std::byte> general) {
  return general.size() >= sizeof(user_regs_struct);
}

void put_call(std::span<std::byte> general, std::uint64_t instruction, std::int64_t number,
              const std::array<std::uint64_t, 6>& args) {
  if (!can_call(general)) return;
  user_regs_struct registers;
  std::memcpy(&registers, general.data(), sizeof registers);
  registers.rip = instruction;
  registers.rax = static_cast<std::uint64_t>(number);
  registers.orig_rax = ~std::uint64_t{0};
  std::memcpy(general.data(), &registers, sizeof registers);
  for (unsigned i = 0; i < args.size(); ++i) {
    put_argument(general, syscalls::kNativeAbi, i, args[i]);
  }
}

std::int64_t result_in(std::span<const std::byte> general) {
  if (!can_call(general)) return -ENOSYS;
  std::int64_t result = 0;
  std::memcpy(&result, general.data() + offsetof(user_regs_struct, rax), sizeof result);
  return result;
}

void fail_own_call(void* context, long number) {
  auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  const auto instruction = call_instruction();
  const auto* at = reinterpret_cast<const void*>(registers[REG_RIP]);
  if (registers[REG_RAX] != number ||
      std::memcmp(at, instruction.data(), instruction.size()) != 0) {
    return;
  }
  registers[REG_RAX] = -EINTR;
  registers[REG_RIP] += static_cast<greg_t>(instruction.size());
}

void put_call_again(std::span<std::byte> general, bool at_entry) {
  if (!can_call(general)) return;
  user_regs_struct registers;
  std::memcpy(&registers, general.data(), sizeof registers);
  const auto number = static_cast<std::int64_t>(registers.orig_rax);
  const auto result = static_cast<std::int64_t>(registers.rax);
  constexpr std::int64_t kErestartSys = -512;  // include/linux/errno.h
  constexpr std::int64_t kErestartNoHand = -514;
  constexpr std::int64_t kErestartRestartBlock = -516;
  const bool block = result == kErestartRestartBlock;
  const bool restarts = block || (result <= kErestartSys && result >= kErestartNoHand);
  if (number < 0 || (!at_entry && !restarts)) {
    registers.orig_rax = ~std::uint64_t{0};
  } else {
    registers.rip -= call_instruction().size();
    registers.rax = !at_entry && block ? SYS_restart_syscall : registers.orig_rax;
    registers.orig_rax = ~std::uint64_t{0};
  }
  std::memcpy(general.data(), &registers, sizeof registers);
}

}  // namespace stucktrace::kernel

#endif
