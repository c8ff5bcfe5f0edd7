#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "syscalls/decode.h"
#include "syscalls/flags.h"
#include "syscalls/layout.h"
#include "syscalls/memory.h"
#include "syscalls/table.h"
#include "syscalls/value.h"
#include "syscalls/wire.h"

namespace stucktrace::syscalls {

// What the decode_*.cc files share; nobody outside them and capture*.cc, io.cc includes this.

// One call being decoded.
struct Call {
  const RawCall& raw;
  const SyscallRow& row;
  const std::optional<RawResult>& result;
  const RemoteMemory& memory;
  Layout layout = layout_of(raw);

  std::uint64_t arg(std::size_t index) const { return index < 6 ? raw.args[index] : 0; }
  // The kernel's view of an int parameter: the low half of the register.
  int int_arg(std::size_t index) const { return static_cast<int>(arg(index)); }
  base::RemoteAddr pointer(std::size_t index) const { return base::RemoteAddr{arg(index)}; }
  bool succeeded() const { return result && !result->is_error; }
  bool failed() const { return result && result->is_error; }
  // The result as a count of bytes or items; 0 while open or failed.
  std::uint64_t count() const {
    return succeeded() && result->value > 0 ? static_cast<std::uint64_t>(result->value) : 0;
  }
};

// ---- reading ------------------------------------------------------------------------------------

struct TextRead {
  std::size_t length = 0;  // bytes before the NUL, or all that could be read
  bool ended = false;      // a NUL was seen
  bool readable = false;   // at least one byte was
};
// Reads a NUL-ended string into `out` (which bounds it).
TextRead read_text(const RemoteMemory& memory, base::RemoteAddr address, std::span<char> out);

// Whole items that could be read of an array, at most `limit`.
template <class T>
std::vector<T> read_array(const Call& call, base::RemoteAddr address, std::uint64_t count,
                          std::size_t limit) {
  return read_wire_array<T>(call.memory, address, count, limit, call.layout);
}

// ---- values -------------------------------------------------------------------------------------

inline Value value_of(auto alternative) {
  return Value{std::move(alternative)};
}
Value pointer_value(base::RemoteAddr address);  // Null or Address
Value fd_value(std::uint64_t raw);
Value text_value(const RemoteMemory& memory, base::RemoteAddr address, std::size_t limit);
// `valid` bytes at `address`, of which at most `budget` are read (and subtracted from it).
Value buffer_value(const RemoteMemory& memory, base::RemoteAddr address, std::uint64_t valid,
                   std::size_t& budget);
Value sigset_value(std::uint64_t mask);
Value named(NameSet set, std::uint64_t raw);
Value named(ArgKind kind, std::uint64_t raw);

// Collects fields of a Struct.
class Fields {
 public:
  Fields& add(std::string_view name, Value value) {
    fields_.push_back(Field{std::string{name}, std::move(value)});
    return *this;
  }
  Value done() { return Value{Struct{std::move(fields_)}}; }

 private:
  std::vector<Field> fields_;
};

// A pointer argument read as one T: Null, or make(T), or the Address where unreadable.
template <class T, class Make>
Value pointee(const Call& call, base::RemoteAddr address, Make make) {
  if (address.value() == 0) return Value{Null{}};
  T raw{};
  if (!read_wire(call.memory, address, call.layout, raw)) return pointer_value(address);
  return make(raw);
}
// Open flags by the ABI of the call: aarch64 has four of them at other bits (asm/fcntl.h).
Value open_flags_value(const Call& call, std::uint64_t raw);
Value one_of_array(Value item);  // "[item]", strace's notation for a pointee

// ---- families: the value of argument `index` if its kind is theirs ------------------------------

std::optional<Value> decode_io(const Call& call, ArgKind kind, std::size_t index);
std::optional<Value> decode_ioctl(const Call& call, ArgKind kind, std::size_t index);
std::optional<Value> decode_net(const Call& call, ArgKind kind, std::size_t index);
std::optional<Value> decode_process(const Call& call, ArgKind kind, std::size_t index);
std::optional<Value> decode_signal(const Call& call, ArgKind kind, std::size_t index);
std::optional<Value> decode_sync(const Call& call, ArgKind kind, std::size_t index);
std::optional<Value> decode_time(const Call& call, ArgKind kind, std::size_t index);

// Vectors of buffers. `valid` bounds how many bytes of all are meaningful.
Value iovec_value(const Call& call, base::RemoteAddr address, std::uint64_t count,
                  std::uint64_t valid, bool with_bytes, std::size_t& budget);
Value fcntl_result(const Call& call);

// Which arguments take part, as bits: what an operation does not use is not shown.
unsigned io_visible(const Call& call);
unsigned futex_visible(const Call& call);
unsigned prctl_visible(const Call& call);

// How the argument of fcntl, ioctl or prctl is used.
enum class Pointee : std::uint8_t {
  kNone,   // no argument
  kPlain,  // a number
  kFlockIn,
  kFlockInOut,
  kTermiosIn,
  kTermiosOut,
  kWinsizeIn,
  kWinsizeOut,
  kPidIn,
  kPidOut,
  kIntIn,
  kIntOut,
  kText,     // a task's name
  kTextOut,  // a task's name
  kOther,    // not decoded
};
Pointee fcntl_pointee(const Call& call);
Pointee ioctl_pointee(std::uint32_t command);
Pointee prctl_pointee(int option);
inline constexpr std::size_t kTaskNameSize = 16;  // TASK_COMM_LEN

// The fourth argument of futex is a time-out (not a count) for these operations.
bool futex_takes_timeout(int operation);
bool futex_timeout_is_absolute(int operation);
inline constexpr int kFutexCommandMask = 0x7f;
inline constexpr int kFutexClockRealtime = 0x100;

}  // namespace stucktrace::syscalls
