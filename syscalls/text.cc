#include <fmt/format.h>

#include <cstring>
#include <iterator>

#include "syscalls/decode.h"

// Values and names as text, in strace's notation.

namespace stucktrace::syscalls {
namespace {

constexpr int kAtFdcwd = -100;
constexpr int kFirstRealtimeSignal = 32;
constexpr int kLastRealtimeSignal = 64;

bool is_octal_digit(char c) {
  return c >= '0' && c <= '7';
}

// A C string literal: the shortest octal escape that the following character cannot extend.
void append_escaped(std::string& out, std::string_view bytes) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const char c = bytes[i];
    switch (c) {
      case '"':
        out += "\\\"";
        continue;
      case '\\':
        out += "\\\\";
        continue;
      case '\n':
        out += "\\n";
        continue;
      case '\t':
        out += "\\t";
        continue;
      case '\r':
        out += "\\r";
        continue;
      case '\f':
        out += "\\f";
        continue;
      case '\v':
        out += "\\v";
        continue;
      default:
        break;
    }
    if (c >= ' ' && c <= '~') {
      out += c;
    } else if (i + 1 < bytes.size() && is_octal_digit(bytes[i + 1])) {
      fmt::format_to(std::back_inserter(out), "\\{:03o}", static_cast<unsigned char>(c));
    } else {
      fmt::format_to(std::back_inserter(out), "\\{:o}", static_cast<unsigned char>(c));
    }
  }
}

void append_quoted(std::string& out, std::string_view bytes, bool cut, std::size_t limit) {
  if (bytes.size() > limit) {
    bytes = bytes.substr(0, limit);
    cut = true;
  }
  out += '"';
  append_escaped(out, bytes);
  out += cut ? "\"..." : "\"";
}

class Writer {
 public:
  Writer(std::string& out, std::size_t limit) : out_(out), limit_(limit) {}

  void write(const Value& value) { std::visit(*this, value.data); }

  void operator()(const Null&) { out_ += "NULL"; }
  void operator()(const Integer& v) { append("{}", v.value); }
  void operator()(const Unsigned& v) { append("{}", v.value); }
  void operator()(const Hex& v) {
    if (v.value == 0) {
      out_ += '0';
    } else {
      append("{:#x}", v.value);
    }
  }
  void operator()(const Octal& v) {
    if (v.value == 0) {
      out_ += "000";
    } else {
      append("0{:o}", v.value);
    }
  }
  void operator()(const Fd& v) {
    if (v.fd == kAtFdcwd) {
      out_ += "AT_FDCWD";
    } else {
      append("{}", v.fd);
    }
  }
  void operator()(const PidValue& v) { append("{}", v.pid); }
  void operator()(const Signal& v) { out_ += signal_name(v.number); }
  void operator()(const Symbol& v) {
    if (!v.text.empty()) {
      out_ += v.text;
    } else {
      append("{}", v.raw);
    }
  }
  void operator()(const Flags& v) {
    if (!v.text.empty()) {
      out_ += v.text;
    } else {
      (*this)(Hex{v.raw});
    }
  }
  void operator()(const Address& v) { append("{:#x}", v.address.value()); }
  void operator()(const Text& v) {
    // Only a name in the abstract socket namespace begins with NUL (unix(7)).
    std::string_view bytes = v.bytes;
    if (!bytes.empty() && bytes.front() == '\0') {
      out_ += '@';
      bytes.remove_prefix(1);
    }
    append_quoted(out_, bytes, v.cut, limit_ < kPathLimit ? kPathLimit : limit_);
  }
  void operator()(const Buffer& v) {
    append_quoted(out_, v.bytes, v.bytes.size() < v.size, limit_);
  }
  void operator()(const Duration& v) {
    if (v.microseconds) {
      append("{{tv_sec={}, tv_usec={}}}", v.seconds, v.nanoseconds / 1000);
    } else {
      append("{{tv_sec={}, tv_nsec={}}}", v.seconds, v.nanoseconds);
    }
  }
  void operator()(const Array& v) {
    out_ += '[';
    std::size_t shown = 0;
    for (const Value& item : v.items) {
      if (shown == kItemLimit) break;
      if (shown++ > 0) out_ += ", ";
      write(item);
    }
    if (shown < v.items.size() || v.cut) out_ += shown > 0 ? ", ..." : "...";
    out_ += ']';
  }
  void operator()(const Struct& v) {
    out_ += '{';
    bool first = true;
    for (const Field& field : v.fields) {
      if (!first) out_ += ", ";
      first = false;
      out_ += field.name;
      out_ += '=';
      write(field.value);
    }
    out_ += '}';
  }

 private:
  // Paths are shown whole however short buffers are cut, as strace does.
  static constexpr std::size_t kPathLimit = 4096;
  static constexpr std::size_t kItemLimit = 32;

  template <class... T>
  void append(fmt::format_string<const T&...> format, const T&... values) {
    fmt::format_to(std::back_inserter(out_), format, values...);
  }

  std::string& out_;
  std::size_t limit_;
};

}  // namespace

std::string to_text(const Value& value, std::size_t limit) {
  std::string out;
  Writer{out, limit}.write(value);
  return out;
}

std::string error_name(std::int64_t negative_errno) {
  // Results only a tracer sees: the kernel restarts the call or turns them into EINTR
  // (linux/errno.h).
  switch (negative_errno) {
    case -512:
      return "ERESTARTSYS";
    case -513:
      return "ERESTARTNOINTR";
    case -514:
      return "ERESTARTNOHAND";
    case -515:
      return "ENOIOCTLCMD";
    case -516:
      return "ERESTART_RESTARTBLOCK";
    case -524:
      return "ENOTSUPP";
    default:
      break;
  }
  constexpr std::int64_t kMaxErrno = 4095;
  if (negative_errno < 0 && negative_errno >= -kMaxErrno) {
    if (const char* name = strerrorname_np(static_cast<int>(-negative_errno))) return name;
  }
  return fmt::format("errno {}", -negative_errno);
}

std::string signal_name(int number) {
  if (number == 0) return "0";
  if (number == kFirstRealtimeSignal) return "SIGRTMIN";
  if (number > kFirstRealtimeSignal && number <= kLastRealtimeSignal) {
    return fmt::format("SIGRT_{}", number - kFirstRealtimeSignal);
  }
  if (number > 0 && number < kFirstRealtimeSignal) {
    if (const char* name = sigabbrev_np(number)) return std::string{"SIG"} + name;
  }
  return fmt::format("SIG{}", number);
}

}  // namespace stucktrace::syscalls
