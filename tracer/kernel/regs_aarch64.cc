#if defined(__aarch64__)

#include <elf.h>
#include <linux/audit.h>
#include <sys/user.h>
#include <ucontext.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "tracer/kernel/regs.h"

namespace stucktrace::kernel {
namespace {

// A 32-bit tracee has eighteen words (struct user_regs of arm), which no table reads.
bool is_narrow(std::span<const std::byte> general) {
  return general.size() < sizeof(user_regs_struct);
}

constexpr std::uint32_t kSupervisorCall = 0xd4000001;  // svc #0
constexpr std::int64_t kErestartSys = -512;            // include/linux/errno.h

}  // namespace

const int kSystemCallRegset = NT_ARM_SYSTEM_CALL;
const bool kArgumentsOutliveCall = false;

syscalls::Abi abi_of(std::uint32_t audit_arch, std::uint64_t) {
  return audit_arch == AUDIT_ARCH_AARCH64 ? syscalls::Abi::kAarch64 : syscalls::Abi::kUnknown;
}

std::uint64_t code_address(std::span<const std::byte> general) {
  if (is_narrow(general)) return 0;
  user_regs_struct registers;
  std::memcpy(&registers, general.data(), sizeof registers);
  return registers.pc;
}

InterruptedCall call_in_registers(const RegisterBytes& bytes) {
  InterruptedCall interrupted;
  if (is_narrow(bytes.general)) {
    interrupted.call.abi = syscalls::Abi::kUnknown;
    return interrupted;
  }
  user_regs_struct registers;
  std::memcpy(&registers, bytes.general.data(), sizeof registers);
  interrupted.call.abi = syscalls::Abi::kAarch64;
  for (std::size_t i = 0; i < interrupted.call.args.size(); ++i) {
    interrupted.call.args[i] = registers.regs[i];
  }
  interrupted.result = static_cast<std::int64_t>(registers.regs[0]);
  std::int32_t number = -1;
  if (bytes.system_call.size() >= sizeof number) {
    std::memcpy(&number, bytes.system_call.data(), sizeof number);
  }
  interrupted.call.number = number;
  // For a signal the kernel first winds a call back that is to be made again, and forgets its
  // number (do_signal in arch/arm64/kernel/signal.c): the first argument is back in its register
  // and the program counter stands on the instruction that makes the call.
  std::uint32_t instruction = 0;
  if (number == -1 && bytes.code.size() >= sizeof instruction) {
    std::memcpy(&instruction, bytes.code.data(), sizeof instruction);
    if (instruction == kSupervisorCall) {
      interrupted.call.number = static_cast<std::int32_t>(registers.regs[8]);
      interrupted.result = kErestartSys;
    }
  }
  return interrupted;
}

std::optional<StandingRegisters> standing_in(std::span<const std::byte> general) {
  if (is_narrow(general)) return std::nullopt;
  user_regs_struct registers;
  std::memcpy(&registers, general.data(), sizeof registers);
  return StandingRegisters{registers.pc, registers.sp, registers.regs[29]};
}

// do_signal() winds a call back before it looks for signals, and so before it stops for us.
bool put_restart(std::span<std::byte>) {
  return false;
}

void put_no_call(std::span<std::byte> general) {
  constexpr std::int64_t kNoSuchCall = -ENOSYS;
  if (is_narrow(general)) return;
  std::memcpy(general.data() + offsetof(user_regs_struct, regs), &kNoSuchCall, sizeof kNoSuchCall);
}

void put_argument(std::span<std::byte> general, syscalls::Abi, unsigned index,
                  std::uint64_t value) {
  if (is_narrow(general)) return;
  std::memcpy(general.data() + offsetof(user_regs_struct, regs) + index * sizeof value, &value,
              sizeof value);
}

std::span<const std::byte> call_instruction() {
  static constexpr std::array kSvc{std::byte{0x01}, std::byte{0x00}, std::byte{0x00},
                                   std::byte{0xd4}};
  return kSvc;
}

bool can_call(std::span<const std::byte> general) {
  return !is_narrow(general);
}

void put_call(std::span<std::byte> general, std::uint64_t instruction, std::int64_t number,
              const std::array<std::uint64_t, 6>& args) {
  if (is_narrow(general)) return;
  user_regs_struct registers;
  std::memcpy(&registers, general.data(), sizeof registers);
  registers.pc = instruction;
  registers.regs[8] = static_cast<std::uint64_t>(number);
  for (std::size_t i = 0; i < args.size(); ++i) registers.regs[i] = args[i];
  std::memcpy(general.data(), &registers, sizeof registers);
}

std::int64_t result_in(std::span<const std::byte> general) {
  if (is_narrow(general)) return -ENOSYS;
  std::int64_t result = 0;
  std::memcpy(&result, general.data() + offsetof(user_regs_struct, regs), sizeof result);
  return result;
}

void fail_own_call(void* context, long number) {
  mcontext_t& registers = static_cast<ucontext_t*>(context)->uc_mcontext;
  if (registers.regs[8] != static_cast<unsigned long long>(number) ||
      std::memcmp(reinterpret_cast<const void*>(registers.pc), &kSupervisorCall,
                  sizeof kSupervisorCall) != 0) {
    return;
  }
  registers.regs[0] = static_cast<unsigned long long>(-EINTR);
  registers.pc += sizeof kSupervisorCall;
}

// A call that is to be restarted was wound back before a stop inside signal handling.
void put_call_again(std::span<std::byte> general, bool at_entry) {
  if (is_narrow(general) || !at_entry) return;
  user_regs_struct registers;
  std::memcpy(&registers, general.data(), sizeof registers);
  registers.pc -= call_instruction().size();
  std::memcpy(general.data(), &registers, sizeof registers);
}

}  // namespace stucktrace::kernel

#endif
