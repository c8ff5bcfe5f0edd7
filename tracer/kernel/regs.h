#pragma once

#include <cstddef>
#include <cstdint>
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

// Changes the registers of a tracee that is in signal handling so that the call it was in begins
// anew unless a handler runs. False where the kernel has decided that before such a stop.
bool put_restart(std::span<std::byte> general);
// Changes them, in a stop before a call, so that the call is left out and fails with ENOSYS; where
// there is a kSystemCallRegset the caller writes -1 to it as well.
void put_no_call(std::span<std::byte> general);

}  // namespace stucktrace::kernel
