#include "tracer/cli/output.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>

namespace stucktrace::cli {

base::Result<Output> Output::create(const std::string& path) {
  constexpr mode_t kMode = 0666;  // less the umask: reports are meant to be shared
  base::UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, kMode));
  if (!file.valid()) {
    return base::system_error(fmt::format("cannot write {}", path), base::Errno::last());
  }
  return Output(std::move(file), path);
}

void Output::write(std::string_view text) {
  while (!text.empty() && failed_.value() == 0) {
    const ssize_t written = ::write(fd_, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<std::size_t>(written));
      continue;
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN) {  // somebody else made the terminal non-blocking
      pollfd room{fd_, POLLOUT, 0};
      constexpr int kPatienceMs = 1000;
      if (::poll(&room, 1, kPatienceMs) > 0) continue;
    }
    failed_ = base::Errno{errno};
  }
}

void Output::line(std::string_view text) {
  std::string whole{text};
  whole += '\n';
  write(whole);
}

base::Result<void> Output::check() const {
  if (failed_.value() == 0) return {};
  return base::system_error(fmt::format("cannot write to {}", name_), failed_);
}

bool Output::is_terminal() const {
  return ::isatty(fd_) == 1;
}

}  // namespace stucktrace::cli
