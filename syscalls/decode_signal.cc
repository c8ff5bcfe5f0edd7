#include <bit>

#include "syscalls/decode_parts.h"

namespace stucktrace::syscalls {
namespace {

constexpr int kSignals = 64;
constexpr int kSigchld = 17;

Value sigset_pointee(const Call& call, base::RemoteAddr address) {
  return pointee<std::uint64_t>(call, address, sigset_value);
}

Value handler_value(std::uint64_t handler) {
  if (handler == 0) return Value{Symbol{0, "SIG_DFL"}};
  if (handler == 1) return Value{Symbol{1, "SIG_IGN"}};
  return pointer_value(base::RemoteAddr{handler});
}

Value sigaction_value(const KernelSigaction& action) {
  return Fields{}
      .add("sa_handler", handler_value(action.handler))
      .add("sa_mask", sigset_value(action.mask))
      .add("sa_flags", named(NameSet::kSigactionFlags, action.flags))
      .add("sa_restorer", pointer_value(base::RemoteAddr{action.restorer}))
      .done();
}

// The sets of old calls hold the first 32 signals.
Value old_sigset_pointee(const Call& call, base::RemoteAddr address) {
  return pointee<std::uint32_t>(call, address,
                                [](std::uint32_t mask) { return sigset_value(mask); });
}

Value old_sigaction_value(const KernelOldSigaction& action) {
  KernelSigaction wide;
  wide.handler = action.handler;
  wide.mask = action.mask;
  wide.flags = action.flags;
  wide.restorer = action.restorer;
  return sigaction_value(wide);
}

// si_code values of SI_USER, SI_QUEUE and SI_TKILL name a sender (sigaction(2)).
bool names_sender(int code) {
  return code == 0 || code == -1 || code == -6;
}

Value siginfo_value(const KernelSiginfo& info) {
  // waitid with WNOHANG and nothing to report leaves zeroes.
  if (info.signal == 0) return Value{Struct{}};
  const bool child = info.signal == kSigchld && info.code > 0;
  Fields fields;
  fields.add("si_signo", Value{Signal{info.signal}})
      .add("si_code", named(child ? NameSet::kSiCodeChild : NameSet::kSiCode,
                            static_cast<std::uint32_t>(info.code)));
  if (!child && !names_sender(info.code)) return fields.done();
  fields.add("si_pid", Value{PidValue{info.pid}}).add("si_uid", Value{Unsigned{info.uid}});
  if (!child) return fields.done();
  constexpr int kExited = 1;  // CLD_EXITED: the status is an exit code, else a signal
  return fields
      .add("si_status",
           info.code == kExited ? Value{Integer{info.status}} : Value{Signal{info.status}})
      .done();
}

}  // namespace

Value sigset_value(std::uint64_t mask) {
  // Nearly full sets read better by what they lack.
  const bool inverted = std::popcount(mask) > kSignals * 2 / 3;
  const std::uint64_t shown = inverted ? ~mask : mask;
  std::string text = inverted ? "~[" : "[";
  for (int signal = 1; signal <= kSignals; ++signal) {
    if ((shown >> (signal - 1) & 1U) == 0) continue;
    if (text.back() != '[') text += ' ';
    text += signal_name(signal).substr(3);
  }
  text += ']';
  return Value{Flags{mask, std::move(text)}};
}

std::optional<Value> decode_signal(const Call& call, ArgKind kind, std::size_t index) {
  const base::RemoteAddr address = call.pointer(index);
  switch (kind) {
    case ArgKind::kSigsetIn:
      return sigset_pointee(call, address);
    case ArgKind::kSigsetOut:
      if (!call.succeeded()) return pointer_value(address);
      return sigset_pointee(call, address);
    case ArgKind::kSigsetPack:
      return pointee<KernelSigsetPack>(call, address, [&](const KernelSigsetPack& pack) {
        return Fields{}
            .add("sigmask", sigset_pointee(call, base::RemoteAddr{pack.address}))
            .add("sigsetsize", Value{Unsigned{pack.size}})
            .done();
      });
    case ArgKind::kSigactionIn:
      return pointee<KernelSigaction>(call, address, sigaction_value);
    case ArgKind::kSigactionOut:
      if (!call.succeeded()) return pointer_value(address);
      return pointee<KernelSigaction>(call, address, sigaction_value);
    case ArgKind::kOldSigset:
      return sigset_value(static_cast<std::uint32_t>(call.arg(index)));
    case ArgKind::kOldSigsetIn:
      return old_sigset_pointee(call, address);
    case ArgKind::kOldSigsetOut:
      if (!call.succeeded()) return pointer_value(address);
      return old_sigset_pointee(call, address);
    case ArgKind::kOldSigactionIn:
      return pointee<KernelOldSigaction>(call, address, old_sigaction_value);
    case ArgKind::kOldSigactionOut:
      if (!call.succeeded()) return pointer_value(address);
      return pointee<KernelOldSigaction>(call, address, old_sigaction_value);
    case ArgKind::kSiginfoIn:
      return pointee<KernelSiginfo>(call, address, siginfo_value);
    case ArgKind::kSiginfoOut:
      if (!call.succeeded()) return pointer_value(address);
      return pointee<KernelSiginfo>(call, address, siginfo_value);
    default:
      return std::nullopt;
  }
}

}  // namespace stucktrace::syscalls
