#include "tracer/compare/assertion.h"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "syscalls/decode.h"
#include "syscalls/io.h"
#include "tracer/base/text.h"

namespace stucktrace::compare {
namespace {

using Kind = Assertion::Kind;
using Subject = Assertion::Subject;
using Compare = Assertion::Compare;

constexpr std::string_view kForms =
    "never CALLS, CALLS <= N, max blocked TIME, no finding, exits N or killed by SIGNAL";

struct Word {
  std::string_view one;
  Subject subject;
  std::string_view set;
};
constexpr Word kWords[] = {
    {"open", Subject::kCalls, "open,openat,openat2,creat"},
    {"connect", Subject::kCalls, "connect"},
    {"listen", Subject::kCalls, "listen"},
    {"bind", Subject::kCalls, "bind"},
    {"accept", Subject::kCalls, "accept,accept4"},
    {"pipe", Subject::kCalls, "pipe,pipe2"},
    {"remove", Subject::kCalls, "unlink,unlinkat,rmdir"},
    {"rename", Subject::kCalls, "rename,renameat,renameat2"},
    {"kill", Subject::kCalls, "kill,tkill,tgkill,rt_sigqueueinfo,pidfd_send_signal"},
    {"read", Subject::kCalls, "read,pread64,readv,preadv,preadv2,recvfrom,recvmsg,recvmmsg"},
    {"write", Subject::kCalls, "write,pwrite64,writev,pwritev,pwritev2,sendto,sendmsg,sendmmsg"},
    {"exec", Subject::kExecs, ""},
    {"fork", Subject::kForks, ""},
    {"thread", Subject::kThreads, ""},
};

constexpr std::pair<std::string_view, Compare> kCompares[] = {
    {"<=", Compare::kAtMost}, {"<", Compare::kLess},     {"==", Compare::kEqual},
    {"!=", Compare::kNot},    {">=", Compare::kAtLeast}, {">", Compare::kMore},
};

std::optional<std::uint64_t> signal_number(std::string_view name) {
  for (int number = 1; number <= 64; ++number) {
    if (syscalls::signal_name(number) == name) return number;
  }
  return std::nullopt;
}

std::optional<base::Nanoseconds> duration(std::string_view text) {
  double number = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number, std::chars_format::fixed);
  if (parsed.ec != std::errc{} || !(number >= 0)) return std::nullopt;
  constexpr std::pair<std::string_view, double> kUnits[] = {{"ns", 1},  {"us", 1e3}, {"ms", 1e6},
                                                            {"s", 1e9}, {"m", 6e10}, {"h", 3.6e12}};
  const std::string_view unit{parsed.ptr, static_cast<std::size_t>(end - parsed.ptr)};
  for (const auto& [name, factor] : kUnits) {
    constexpr double kMost = 3e17;  // ten years
    if (unit == name && number * factor < kMost) {
      return base::Nanoseconds{static_cast<std::int64_t>(number * factor)};
    }
  }
  return std::nullopt;
}

// opens, open, %network, futex ...
Parsed<void> read_calls(Scanner& scanner, Assertion& out) {
  const std::string_view word = scanner.peek();
  if (word.empty()) return scanner.wrong("which calls?");
  for (const Word& known : kWords) {
    if (word != known.one && word != fmt::format("{}s", known.one)) continue;
    out.subject = known.subject;
    out.set = known.set;
    scanner.word();
    if (out.set.empty()) return {};
    auto set = syscalls::TraceSet::parse(out.set);
    if (!set) return scanner.wrong(set.error().message());
    out.calls = *set;
    return {};
  }
  auto set = syscalls::TraceSet::parse(word);
  if (!set) return scanner.wrong(set.error().message());
  out.calls = *set;
  out.set = word;
  scanner.word();
  return {};
}

Parsed<void> read_count(Scanner& scanner, Assertion& out) {
  if (auto calls = read_calls(scanner, out); !calls) return calls;
  for (const auto& [sign, value] : kCompares) {
    if (scanner.peek() != sign) continue;
    out.compare = value;
    scanner.word();
    const auto number = scanner.number();
    if (!number) return scanner.wrong("expected a number");
    out.number = *number;
    return {};
  }
  return scanner.wrong("expected <=, <, ==, !=, >= or >");
}

Parsed<void> read_form(Scanner& scanner, Assertion& out) {
  if (scanner.at_end()) return scanner.wrong(fmt::format("expected {}", kForms));
  if (scanner.take("never")) {
    out.compare = Compare::kEqual;
    out.number = 0;
    return read_calls(scanner, out);
  }
  if (scanner.take("max")) {
    if (!scanner.take("blocked")) return scanner.wrong("expected \"blocked\"");
    const auto limit = duration(scanner.peek());
    if (!limit) return scanner.wrong("expected a time such as 500ms or 2s");
    scanner.word();
    out.kind = Kind::kMaxBlocked;
    out.limit = *limit;
    return {};
  }
  if (!out.process && scanner.take("no")) {
    if (!scanner.take("finding")) return scanner.wrong("expected \"finding\"");
    out.kind = Kind::kNoFinding;
    out.rule = scanner.word();
    return {};
  }
  if (scanner.take("exits")) {
    const Scanner before = scanner;
    const auto status = scanner.number();
    if (!status || *status > 255) return before.wrong("expected an exit status from 0 to 255");
    out.kind = Kind::kExits;
    out.number = *status;
    return {};
  }
  if (scanner.take("killed")) {
    if (!scanner.take("by")) return scanner.wrong("expected \"by\"");
    const auto signal = signal_number(scanner.peek());
    if (!signal) return scanner.wrong("expected a signal such as SIGTERM");
    scanner.word();
    out.kind = Kind::kKilled;
    out.number = *signal;
    return {};
  }
  return read_count(scanner, out);
}

}  // namespace

Parsed<Assertion> parse_assertion(std::string_view text) {
  constexpr std::size_t kLongest = 500;
  if (text.size() > kLongest) return Misread{TextError{kLongest, "the assertion is too long"}};
  Assertion out;
  out.text = base::trim(text);
  Scanner scanner{text};
  out.process = process_number(scanner.peek());
  if (out.process) scanner.word();
  if (auto form = read_form(scanner, out); !form) return Misread{form.error()};
  if (!scanner.at_end()) return scanner.wrong("nothing follows an assertion");
  const bool printable = std::ranges::all_of(
      out.text, [](char c) { return static_cast<unsigned char>(c) >= ' ' && c != '\x7f'; });
  if (!printable) return Misread{TextError{1, "an assertion has no control characters"}};
  return out;
}

}  // namespace stucktrace::compare
