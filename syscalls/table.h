#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace stucktrace::syscalls {

// Which table a number belongs to (PTRACE_GET_SYSCALL_INFO reports AUDIT_ARCH_*). Recordings keep
// the number of the enumerator: new ones come at the end.
enum class Abi : std::uint8_t { kX86_64, kI386, kX32, kUnknown, kAarch64 };

// What a 64-bit program of the machine this is compiled for uses.
#if defined(__aarch64__)
inline constexpr Abi kNativeAbi = Abi::kAarch64;
#else
inline constexpr Abi kNativeAbi = Abi::kX86_64;
#endif

// ABI-independent identity of a call; kUnknown for numbers no table knows. Generated.
enum class Sys : std::uint16_t {
#define STUCKTRACE_SYS(name) name,
#include "syscalls/sys_ids.inc"
#undef STUCKTRACE_SYS
  kUnknown,
};

// What an argument means, enough to print it without special code. Calls whose arguments need more
// (ioctl, fcntl, futex, bpf ...) are refined in decode_*.cc.
enum class ArgKind : std::uint8_t {
#define STUCKTRACE_ARG_KIND(name) name,
#include "syscalls/arg_kinds.inc"
#undef STUCKTRACE_ARG_KIND
};

// Traits a tracer acts on.
enum class Trait : std::uint8_t {
  kMayBlock = 1 << 0,      // can sleep for an unbounded time waiting for somebody
  kMakesTask = 1 << 1,     // fork, vfork, clone, clone3
  kPlumbsFds = 1 << 2,     // makes, duplicates, closes or passes descriptors
  kNeverReturns = 1 << 3,  // exit, exit_group, rt_sigreturn's own frame excepted
  kWritesOutput = 1 << 4,  // moves bytes out through a descriptor
};

// Classes for -e trace=%class; strace's words where they exist.
enum class CallClass : std::uint32_t {
  kFile = 1 << 0,
  kDesc = 1 << 1,
  kProcess = 1 << 2,
  kNetwork = 1 << 3,
  kSignal = 1 << 4,
  kIpc = 1 << 5,
  kMemory = 1 << 6,
  kTime = 1 << 7,
  kCreds = 1 << 8,
  kStat = 1 << 9,
  kPoll = 1 << 10,
  kLock = 1 << 11,  // futex, flock
  kBlocking = 1 << 12,
};

struct ArgSpec {
  std::string_view name;
  ArgKind kind{};
};

struct SyscallRow {
  std::uint16_t number = 0;
  Sys id = Sys::kUnknown;
  std::string_view name;
  std::uint8_t arg_count = 0;
  std::array<ArgSpec, 6> args{};
  std::uint32_t classes = 0;  // CallClass bits
  std::uint8_t traits = 0;    // Trait bits
  ArgKind result{};           // what a successful result is; kRaw: a plain number

  constexpr bool has(Trait trait) const { return (traits & static_cast<std::uint8_t>(trait)) != 0; }
  constexpr bool in(CallClass c) const { return (classes & static_cast<std::uint32_t>(c)) != 0; }
};

// The row, or nullptr for a number the table does not know (print the number, never an error).
// x32 numbers are looked up without their 0x40000000 bit. i386 has rows for the parts of calls that
// are many in one as well (multiplexed.h).
const SyscallRow* find_row(Abi abi, std::int64_t number);
// By name within an ABI, the one with the lowest number; nullptr if unknown.
const SyscallRow* find_row(Abi abi, std::string_view name);
// All rows of an ABI in ascending number (x32: under their x86-64 numbers); empty for an ABI
// without a table.
std::span<const SyscallRow> all_rows(Abi abi);
// The number by which a program reaches a row of that ABI: of x32 with its bit, of a part of a call
// that is many in one the number of that call.
std::int64_t kernel_number(Abi abi, const SyscallRow& row);
// "x86_64", "i386", "x32", "aarch64", "unknown".
std::string_view abi_name(Abi abi);
// Sys of a number, kUnknown if none.
inline Sys sys_of(Abi abi, std::int64_t number) {
  const SyscallRow* row = find_row(abi, number);
  return row == nullptr ? Sys::kUnknown : row->id;
}

}  // namespace stucktrace::syscalls
