#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "syscalls/decode_parts.h"

// Processes: clone, wait, limits, prctl.

namespace stucktrace::syscalls {
namespace {

// linux/prctl.h
enum PrctlOption : int {
  kSetPdeathsig = 1,
  kGetPdeathsig = 2,
  kSetName = 15,
  kGetName = 16,
  kSetChildSubreaper = 36,
  kGetChildSubreaper = 37,
  kSetPtracer = 0x59616d61,
};
constexpr std::uint64_t kCloneSignalMask = 0xff;
constexpr int kPPidfd = 3;  // waitid's P_PIDFD

// clone(2) carries the termination signal in the low byte of its flags.
Value clone_flags_value(std::uint64_t raw) {
  const ConstantSet& set = *constant_set(ArgKind::kCloneFlags);
  std::string text = flags_text(set, raw & ~kCloneSignalMask);
  if (const int signal = static_cast<int>(raw & kCloneSignalMask); signal != 0) {
    if (!text.empty()) text += '|';
    text += signal_name(signal);
  }
  return Value{Flags{raw, std::move(text)}};
}

Value clone_args_value(const Call& call, std::size_t index) {
  const base::RemoteAddr address = call.pointer(index);
  const std::uint64_t size = call.arg(index + 1);
  if (address.value() == 0) return Value{Null{}};
  if (size < kCloneArgsMinSize) return pointer_value(address);
  KernelCloneArgs args;
  const auto bytes = std::as_writable_bytes(std::span{&args, 1});
  const auto wanted =
      bytes.first(static_cast<std::size_t>(std::min<std::uint64_t>(size, bytes.size())));
  // What an older structure lacks stays zero, as in the kernel.
  if (call.memory.read(address, wanted) < wanted.size()) return pointer_value(address);
  Fields fields;
  fields.add("flags", named(ArgKind::kCloneFlags, args.flags));
  const auto add_pointer = [&](std::string_view name, std::uint64_t pointer) {
    if (pointer != 0) fields.add(name, pointer_value(base::RemoteAddr{pointer}));
  };
  add_pointer("pidfd", args.pidfd);
  add_pointer("child_tid", args.child_tid);
  add_pointer("parent_tid", args.parent_tid);
  fields.add("exit_signal", Value{Signal{static_cast<int>(args.exit_signal)}})
      .add("stack", pointer_value(base::RemoteAddr{args.stack}))
      .add("stack_size", Value{Unsigned{args.stack_size}});
  add_pointer("tls", args.tls);
  add_pointer("set_tid", args.set_tid);
  if (args.set_tid_size != 0) fields.add("set_tid_size", Value{Unsigned{args.set_tid_size}});
  if (args.cgroup != 0) fields.add("cgroup", Value{Fd{static_cast<int>(args.cgroup)}});
  return fields.done();
}

// wait(2): how the status word is laid out.
std::string wait_status_text(std::uint32_t status) {
  constexpr std::uint32_t kContinued = 0xffff;
  constexpr std::uint32_t kStopped = 0x7f;
  const std::uint32_t low = status & 0x7fU;
  const int high = static_cast<int>(status >> 8 & 0xffU);
  if (status == kContinued) return "{WIFCONTINUED(s)}";
  if ((status & 0xffU) == kStopped) {
    const std::uint32_t event = status >> 16;  // PTRACE_EVENT_*
    std::string text =
        fmt::format("{{WIFSTOPPED(s) && WSTOPSIG(s) == {}}}", signal_name(high & 0x7f));
    if ((high & 0x80) != 0) text.insert(text.size() - 1, " | 0x80");
    if (event != 0) text += fmt::format(" | {:#x}", event << 16);
    return text;
  }
  if (low == 0) return fmt::format("{{WIFEXITED(s) && WEXITSTATUS(s) == {}}}", high);
  return fmt::format("{{WIFSIGNALED(s) && WTERMSIG(s) == {}{}}}",
                     signal_name(static_cast<int>(low)),
                     (status & 0x80U) != 0 ? " && WCOREDUMP(s)" : "");
}

Value wait_status_value(const Call& call, std::size_t index) {
  // Zero children reported (WNOHANG): nothing was written.
  if (call.count() == 0) return pointer_value(call.pointer(index));
  return pointee<std::uint32_t>(call, call.pointer(index), [](std::uint32_t status) {
    return one_of_array(Value{Symbol{status, wait_status_text(status)}});
  });
}

Value limit_value(std::uint64_t limit) {
  if (limit == ~std::uint64_t{0}) return Value{Symbol{-1, "RLIM64_INFINITY"}};
  return Value{Unsigned{limit}};
}

Value rlimit_value(const KernelRlimit& limit) {
  return Fields{}
      .add("rlim_cur", limit_value(limit.current))
      .add("rlim_max", limit_value(limit.maximum))
      .done();
}

Value rlimit_pointee(const Call& call, base::RemoteAddr address) {
  if (call.row.id != Sys::prlimit64) return pointee<KernelRlimit>(call, address, rlimit_value);
  // 64 bits in every ABI.
  KernelRlimit limit;
  if (address.value() == 0) return Value{Null{}};
  if (!call.memory.read_value(address, limit)) return pointer_value(address);
  return rlimit_value(limit);
}

Value prctl_argument(const Call& call, std::size_t index) {
  const std::uint64_t raw = call.arg(index);
  const base::RemoteAddr address = call.pointer(index);
  switch (prctl_pointee(call.int_arg(0))) {
    case Pointee::kTextOut:
      if (!call.succeeded()) return pointer_value(address);
      [[fallthrough]];
    case Pointee::kText:
      return text_value(call.memory, address, kTaskNameSize);
    case Pointee::kIntOut:
      if (!call.succeeded()) return pointer_value(address);
      return pointee<std::int32_t>(
          call, address, [](std::int32_t number) { return one_of_array(Value{Integer{number}}); });
    default:
      break;
  }
  switch (call.int_arg(0)) {
    case kSetPdeathsig:
      return Value{Signal{static_cast<int>(raw)}};
    case kSetPtracer:
      if (raw == (call.layout.narrow_words ? 0xffffffffU : ~std::uint64_t{0}))
        return Value{Symbol{-1, "PR_SET_PTRACER_ANY"}};
      return Value{PidValue{static_cast<std::int32_t>(raw)}};
    case kSetChildSubreaper:
      return Value{Unsigned{raw}};
    default:
      return Value{Hex{raw}};
  }
}

}  // namespace

Pointee prctl_pointee(int option) {
  switch (option) {
    case kSetName:
      return Pointee::kText;
    case kGetName:
      return Pointee::kTextOut;
    case kGetPdeathsig:
    case kGetChildSubreaper:
      return Pointee::kIntOut;
    default:
      return Pointee::kPlain;
  }
}

unsigned prctl_visible(const Call& call) {
  switch (call.int_arg(0)) {
    case 3:   // PR_GET_DUMPABLE
    case 7:   // PR_GET_KEEPCAPS
    case 21:  // PR_GET_SECCOMP
    case 27:  // PR_GET_SECUREBITS
    case 30:  // PR_GET_TIMERSLACK
    case 31:  // PR_TASK_PERF_EVENTS_DISABLE
    case 32:  // PR_TASK_PERF_EVENTS_ENABLE
      return 0b00001;
    case kSetPdeathsig:
    case kGetPdeathsig:
    case kSetName:
    case kGetName:
    case kSetChildSubreaper:
    case kGetChildSubreaper:
    case kSetPtracer:
    case 4:   // PR_SET_DUMPABLE
    case 8:   // PR_SET_KEEPCAPS
    case 23:  // PR_CAPBSET_READ
    case 24:  // PR_CAPBSET_DROP
    case 28:  // PR_SET_SECUREBITS
    case 29:  // PR_SET_TIMERSLACK
      return 0b00011;
    default:
      return 0b11111;
  }
}

std::optional<Value> decode_process(const Call& call, ArgKind kind, std::size_t index) {
  const base::RemoteAddr address = call.pointer(index);
  switch (kind) {
    case ArgKind::kCloneFlags:
      if (call.row.id == Sys::clone) return clone_flags_value(call.arg(index));
      return std::nullopt;
    case ArgKind::kCloneArgs:
      return clone_args_value(call, index);
    case ArgKind::kWaitStatusOut:
      return wait_status_value(call, index);
    case ArgKind::kRlimitIn:
      return rlimit_pointee(call, address);
    case ArgKind::kRlimitOut:
      if (!call.succeeded()) return pointer_value(address);
      return rlimit_pointee(call, address);
    case ArgKind::kPrctlArg:
      return prctl_argument(call, index);
    case ArgKind::kWaitidPid:
      if (call.int_arg(0) == kPPidfd) return fd_value(call.arg(index));
      return Value{PidValue{static_cast<std::int32_t>(call.arg(index))}};
    default:
      return std::nullopt;
  }
}

}  // namespace stucktrace::syscalls
