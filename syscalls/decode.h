#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "syscalls/memory.h"
#include "syscalls/table.h"
#include "syscalls/value.h"

namespace stucktrace::syscalls {

// Registers of one call as the kernel reported them.
struct RawCall {
  Abi abi = kNativeAbi;
  std::int64_t number = -1;
  std::array<std::uint64_t, 6> args{};
};

struct RawResult {
  std::int64_t value = 0;
  bool is_error = false;  // value is then -errno
};

struct Argument {
  std::string_view name;  // from the table, static storage
  Value value;
};

struct DecodedCall {
  const SyscallRow* row = nullptr;  // nullptr: unknown number
  std::string name;                 // "poll" or "syscall_1234"
  std::vector<Argument> args;
  // The result as data where it means more than a number (a descriptor, a pid); empty while open.
  std::optional<Value> result;
};

// Pure: registers + captured bytes -> values. `result` is nullopt for a call that has not returned;
// out-parameters then stay Addresses. Never reads outside `memory`, never fails.
DecodedCall decode(const RawCall& call, const std::optional<RawResult>& result,
                   const RemoteMemory& memory);

// One-line text of a value in strace's notation; `limit` bounds quoted strings.
std::string to_text(const Value& value, std::size_t limit = 32);
// "ETIMEDOUT" / "ERESTARTSYS" (kernel-internal 512..) for a negative result.
std::string error_name(std::int64_t negative_errno);
// "SIGPIPE", "SIGRT_3", "SIG123".
std::string signal_name(int number);

// ---- what to keep at a stop -------------------------------------------------------------------

enum class Payload : std::uint8_t {
  kNone,  // lengths only, not even paths
  kText,  // paths, and what goes to stdout/stderr (default)
  kAll,   // every buffer, up to the limit
};

struct CaptureOptions {
  Payload payload = Payload::kText;
  std::size_t buffer_limit = 4096;  // bytes kept of one buffer
  bool output_fd = false;           // the call's descriptor is (a copy of) stdout/stderr or a tty
};

// Called while the tracee is stopped: keeps exactly the bytes decode() and the model will need,
// with as few reads as possible, no formatting. Enter: in-parameters; exit: out-parameters.
void capture_enter(const RawCall& call, const RemoteMemory& tracee, const CaptureOptions& options,
                   CapturedMemory& out);
void capture_exit(const RawCall& call, const RawResult& result, const RemoteMemory& tracee,
                  const CaptureOptions& options, CapturedMemory& out);

}  // namespace stucktrace::syscalls
