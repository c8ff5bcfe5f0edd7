#include <fmt/format.h>

#include "syscalls/decode_parts.h"

namespace stucktrace::syscalls {
namespace {

// asm-generic/ioctl.h: how a command number is built.
std::string ioctl_number_text(std::uint32_t command) {
  static constexpr std::string_view kDirections[] = {"_IOC_NONE", "_IOC_WRITE", "_IOC_READ",
                                                     "_IOC_READ|_IOC_WRITE"};
  const std::uint32_t size = command >> 16 & 0x3fffU;
  return fmt::format("_IOC({}, {:#x}, {:#x}, {:#x})", kDirections[command >> 30],
                     command >> 8 & 0xffU, command & 0xffU, size);
}

Value command_value(std::uint32_t command) {
  std::string text{symbol_name(constant_set(NameSet::kIoctl), static_cast<std::int64_t>(command))};
  if (text.empty()) text = ioctl_number_text(command);
  return Value{Symbol{command, std::move(text)}};
}

Value termios_value(const KernelTermios& termios) {
  return Fields{}
      .add("c_iflag", Value{Hex{termios.input}})
      .add("c_oflag", Value{Hex{termios.output}})
      .add("c_cflag", Value{Hex{termios.control}})
      .add("c_lflag", Value{Hex{termios.local}})
      .done();
}

Value winsize_value(const KernelWinsize& size) {
  return Fields{}
      .add("ws_row", Value{Unsigned{size.rows}})
      .add("ws_col", Value{Unsigned{size.columns}})
      .add("ws_xpixel", Value{Unsigned{size.x_pixels}})
      .add("ws_ypixel", Value{Unsigned{size.y_pixels}})
      .done();
}

Value int_value(std::int32_t number) {
  return one_of_array(Value{Integer{number}});
}

Value pid_value(std::int32_t pid) {
  return one_of_array(Value{PidValue{pid}});
}

Value ioctl_argument(const Call& call) {
  const base::RemoteAddr address = call.pointer(2);
  const Pointee how = ioctl_pointee(static_cast<std::uint32_t>(call.arg(1)));
  const bool out = how == Pointee::kTermiosOut || how == Pointee::kWinsizeOut ||
                   how == Pointee::kPidOut || how == Pointee::kIntOut;
  if (out && !call.succeeded()) return pointer_value(address);
  switch (how) {
    case Pointee::kTermiosIn:
    case Pointee::kTermiosOut:
      return pointee<KernelTermios>(call, address, termios_value);
    case Pointee::kWinsizeIn:
    case Pointee::kWinsizeOut:
      return pointee<KernelWinsize>(call, address, winsize_value);
    case Pointee::kPidIn:
    case Pointee::kPidOut:
      return pointee<std::int32_t>(call, address, pid_value);
    case Pointee::kIntIn:
    case Pointee::kIntOut:
      return pointee<std::int32_t>(call, address, int_value);
    case Pointee::kPlain:
      return Value{Integer{static_cast<std::int32_t>(call.arg(2))}};
    default:
      return pointer_value(address);
  }
}

}  // namespace

Pointee ioctl_pointee(std::uint32_t command) {
  switch (command) {
    case 0x5401:  // TCGETS
      return Pointee::kTermiosOut;
    case 0x5402:  // TCSETS
    case 0x5403:  // TCSETSW
    case 0x5404:  // TCSETSF
      return Pointee::kTermiosIn;
    case 0x540f:  // TIOCGPGRP
    case 0x5429:  // TIOCGSID
      return Pointee::kPidOut;
    case 0x5410:  // TIOCSPGRP
      return Pointee::kPidIn;
    case 0x5413:  // TIOCGWINSZ
      return Pointee::kWinsizeOut;
    case 0x5414:  // TIOCSWINSZ
      return Pointee::kWinsizeIn;
    case 0x541b:      // FIONREAD, SIOCINQ
    case 0x5411:      // TIOCOUTQ, SIOCOUTQ
    case 0x5424:      // TIOCGETD
    case 0x80045430:  // TIOCGPTN
      return Pointee::kIntOut;
    case 0x5421:      // FIONBIO
    case 0x5452:      // FIOASYNC
    case 0x5420:      // TIOCPKT
    case 0x5423:      // TIOCSETD
    case 0x40045431:  // TIOCSPTLCK
      return Pointee::kIntIn;
    case 0x5409:      // TCSBRK
    case 0x540a:      // TCXONC
    case 0x540b:      // TCFLSH
    case 0x540e:      // TIOCSCTTY
    case 0x5425:      // TCSBRKP
    case 0x5441:      // TIOCGPTPEER
    case 0x40045436:  // TIOCSIG
      return Pointee::kPlain;
    case 0x540c:  // TIOCEXCL
    case 0x540d:  // TIOCNXCL
    case 0x5422:  // TIOCNOTTY
    case 0x5427:  // TIOCSBRK
    case 0x5428:  // TIOCCBRK
    case 0x5450:  // FIONCLEX
    case 0x5451:  // FIOCLEX
      return Pointee::kNone;
    default:
      return Pointee::kOther;
  }
}

std::optional<Value> decode_ioctl(const Call& call, ArgKind kind, std::size_t index) {
  switch (kind) {
    case ArgKind::kIoctlCmd:
      return command_value(static_cast<std::uint32_t>(call.arg(index)));
    case ArgKind::kIoctlArg:
      return ioctl_argument(call);
    default:
      return std::nullopt;
  }
}

}  // namespace stucktrace::syscalls
