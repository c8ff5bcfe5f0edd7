#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "tracer/kernel/ptrace_ops.h"

namespace stucktrace::kernel {

// What is peculiar to an architecture in the registers of a tracee; regs_<arch>.cc has the one this
// is compiled for. Pure: bytes in, call out.

// The ABI of a call by what PTRACE_GET_SYSCALL_INFO reports (AUDIT_ARCH_*) and its number.
syscalls::Abi abi_of(std::uint32_t audit_arch, std::uint64_t number);

// Room for every register set below.
inline constexpr std::size_t kMaxRegisterBytes = 512;
// A regset with the number of the interrupted call, where the general registers lack it; 0: none.
extern const int kSystemCallRegset;

// The registers of a stopped tracee.
struct RegisterBytes {
  std::span<const std::byte> general = {};      // NT_PRSTATUS; shorter for a 32-bit tracee
  std::span<const std::byte> system_call = {};  // kSystemCallRegset, empty if there is none
  std::span<const std::byte> code = {};         // the bytes at code_address(); may be empty
  std::uint32_t audit_arch = 0;                 // of the call, as the kernel tells it; 0: unknown
};
// Where `code` is to be read from; 0 where this architecture needs none.
std::uint64_t code_address(std::span<const std::byte> general);
InterruptedCall call_in_registers(const RegisterBytes& registers);

// nullopt for a 32-bit tracee.
std::optional<StandingRegisters> standing_in(std::span<const std::byte> general);

// Changes the registers of a tracee that is in signal handling so that the call it was in begins
// anew unless a handler runs. False where the kernel has decided that before such a stop.
bool put_restart(std::span<std::byte> general);
// Changes them, in a stop before a call, so that the call is left out and fails with ENOSYS; where
// there is a kSystemCallRegset the caller writes -1 to it as well.
void put_no_call(std::span<std::byte> general);
// Changes argument `index` of the call a tracee is in, 0..5; `abi` is the call's, since a 64-bit
// program may make one of another.
void put_argument(std::span<std::byte> general, syscalls::Abi abi, unsigned index,
                  std::uint64_t value);

// In a signal handler, with its context: if the handler has come before the call of that number,
// for the first time or to make it anew, the call fails with EINTR and is not made.
// Async-signal-safe.
void fail_own_call(void* context, long number);

// ---- to have a tracee make calls (remote_call.h)

// The instruction that makes a call.
std::span<const std::byte> call_instruction();
// Not a 32-bit tracee.
bool can_call(std::span<const std::byte> general);
// Changes the registers so that the tracee makes this call next, by the instruction at that
// address.
void put_call(std::span<std::byte> general, std::uint64_t instruction, std::int64_t number,
              const std::array<std::uint64_t, 6>& args);
// What a call has returned, after its exit.
std::int64_t result_in(std::span<const std::byte> general);
// Changes them so that the call begins anew: the one at whose entry the tracee stands, or
// (`at_entry` false) the one it was in, if the kernel was going to restart it.
void put_call_again(std::span<std::byte> general, bool at_entry);

}  // namespace stucktrace::kernel
