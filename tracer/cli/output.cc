#include "tracer/cli/output.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

namespace stucktrace::cli {

base::Result<Output> Output::open(const std::string& path, int flags) {
  constexpr mode_t kMode = 0666;  // less the umask: reports are meant to be shared
  base::UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | flags, kMode));
  if (!file.valid()) {
    return base::system_error(fmt::format("cannot write {}", path), base::Errno::last());
  }
  return Output(std::move(file), path);
}

void Output::limit(const std::atomic<bool>& hurry) {
  hurry_ = &hurry;
  struct stat about{};
  if (file_.valid() || ::fstat(fd_, &about) != 0) return;
  if (!S_ISFIFO(about.st_mode) && !S_ISCHR(about.st_mode)) return;
  // A pipe that has room may have none a moment later, where others write to it as well. So it is
  // opened anew: O_NONBLOCK on the borrowed one would be everybody's.
  const std::string path = fmt::format("/proc/self/fd/{}", fd_);
  base::UniqueFd own(::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!own.valid()) return;
  file_ = std::move(own);
  fd_ = file_.get();
}

bool Output::wait_for_room() {
  constexpr int kTurnMs = 50;
  for (;;) {
    pollfd room{fd_, POLLOUT, 0};
    if (::poll(&room, 1, kTurnMs) > 0) return true;
    if (hurry_->load() && --turns_left_ <= 0) {
      failed_ = base::Errno{ETIMEDOUT};
      return false;
    }
  }
}

base::Result<Output> Output::create(const std::string& path) {
  return open(path, O_TRUNC);
}

base::Result<Output> Output::append(const std::string& path) {
  return open(path, O_APPEND);
}

bool Output::rewritable() const {
  struct stat about{};
  return ::fstat(fd_, &about) == 0 && S_ISREG(about.st_mode);
}

void Output::replace(std::string_view text) {
  if (rewritable() && (::ftruncate(fd_, 0) != 0 || ::lseek(fd_, 0, SEEK_SET) != 0)) {
    if (failed_.value() == 0) failed_ = base::Errno::last();
    return;
  }
  write(text);
}

void Output::write(std::string_view text) {
  while (!text.empty() && failed_.value() == 0) {
    std::size_t most = text.size();
    if (hurry_ != nullptr) {
      if (!wait_for_room()) return;
      most = std::min<std::size_t>(most, PIPE_BUF);  // what a pipe with room takes without waiting
    }
    const ssize_t written = ::write(fd_, text.data(), most);
    if (written >= 0) {
      turns_left_ = kTurns;
      text.remove_prefix(static_cast<std::size_t>(written));
      continue;
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN && hurry_ != nullptr) {
      if (!wait_for_room()) return;
      continue;
    }
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
