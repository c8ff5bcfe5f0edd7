#include "tracer/unwind/native_capture.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <string_view>

#include "tracer/kernel/procfs_parse.h"

namespace stucktrace::unwind {
namespace {

base::Result<std::string_view> read_all(const base::UniqueFd& file, std::span<char> buffer,
                                        const char* what, base::Tid tid) {
  const ssize_t got = ::pread(file.get(), buffer.data(), buffer.size(), 0);
  if (got < 0) return base::system_error(what, base::Errno::last(), tid);
  return std::string_view(buffer.data(), static_cast<std::size_t>(got));
}

}  // namespace

base::Result<ThreadWatch> ThreadWatch::open(base::Pid pid, base::Tid tid) {
  const auto open_one = [&](const char* name) {
    return base::UniqueFd(
        ::open(fmt::format("/proc/{}/task/{}/{}", pid, tid, name).c_str(), O_RDONLY | O_CLOEXEC));
  };
  base::UniqueFd syscall = open_one("syscall");
  if (!syscall.valid()) return base::system_error("open syscall", base::Errno::last(), tid);
  if (base::UniqueFd counted = open_one("schedstat"); counted.valid()) {
    std::array<char, 128> line;
    const auto text = read_all(counted, line, "read schedstat", tid);
    if (text && !text->empty() && *text != "0 0 0\n") {
      return ThreadWatch(tid, std::move(syscall), std::move(counted));
    }
  }
  base::UniqueFd status = open_one("status");
  if (!status.valid()) return base::system_error("open status", base::Errno::last(), tid);
  return ThreadWatch(tid, std::move(syscall), std::move(status));
}

base::Result<StandingPoint> ThreadWatch::read() const {
  std::array<char, 512> line;
  std::array<char, 8192> turns;
  StandingPoint result;
  // The turns last: they close the interval that the line opens.
  const auto call = read_all(syscall_, line, "read syscall", tid_);
  if (!call) return base::Failure(call.error());
  result.syscall_text = *call;
  const auto text = read_all(turns_, turns, "read turns", tid_);
  if (!text) return base::Failure(text.error());
  const std::size_t from = text->find("\nvoluntary_ctxt_switches:");
  if (from != std::string_view::npos) {
    result.turns = text->substr(from);
  } else if (!text->starts_with("Name:")) {
    result.turns = *text;
  }
  auto parsed = kernel::parse_syscall(result.syscall_text);
  if (!parsed) return base::Failure(parsed.error());
  result.at = *parsed;
  return result;
}

}  // namespace stucktrace::unwind
