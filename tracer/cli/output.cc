#include "tracer/cli/output.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <memory>

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
  // What is open for reading alone (in the place of a closed one) stays what it is.
  const int mode = ::fcntl(fd_, F_GETFL);
  if (mode < 0 || (mode & O_ACCMODE) == O_RDONLY) return;
  // A pipe that has room may have none a moment later, where others write to it as well. So it is
  // opened anew: O_NONBLOCK on the borrowed one would be everybody's.
  const std::string path = fmt::format("/proc/self/fd/{}", fd_);
  base::UniqueFd own(::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!own.valid()) return;
  file_ = std::move(own);
  fd_ = file_.get();
}

void Output::keep_going(const std::atomic<bool>& hurry, const base::Clock& clock) {
  limit(hurry);
  backlog_ = std::make_unique<Backlog>(fd_, name_, hurry, clock);
}

void Output::note(std::string_view text) {
  if (backlog_) return backlog_->put(text, Backlog::Patience::kNone);
  write(text);
}

void Output::retry() {
  if (backlog_) backlog_->retry();
}

void Output::settle() {
  const std::unique_ptr<Backlog> backlog = std::move(backlog_);
  if (!backlog) return;
  const std::string rest = backlog->take();
  if (failed_.value() == 0) failed_ = backlog->failed();
  put(rest);
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

std::size_t Output::size() const {
  struct stat about{};
  const bool known = ::fstat(fd_, &about) == 0 && S_ISREG(about.st_mode);
  return known ? static_cast<std::size_t>(about.st_size) : 0;
}

bool Output::replace_by_rename(std::string_view text) {
  struct stat old{};
  struct stat named{};
  // A descriptor of this process by name: others may write to the same file through it.
  if (!file_.valid() || name_.starts_with("/dev/") || name_.starts_with("/proc/")) return false;
  if (::fstat(fd_, &old) != 0 || old.st_nlink != 1) return false;
  const std::unique_ptr<char, decltype(&std::free)> real(::realpath(name_.c_str(), nullptr),
                                                         &std::free);
  if (!real || ::stat(real.get(), &named) != 0) return false;
  if (named.st_dev != old.st_dev || named.st_ino != old.st_ino) return false;
  const std::string fresh = fmt::format("{}.{}.new", real.get(), ::getpid());
  base::UniqueFd file(
      ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file.valid()) return false;
  struct stat made{};
  const bool alike = ::fstat(file.get(), &made) == 0 && made.st_uid == old.st_uid &&
                     made.st_gid == old.st_gid && ::fchmod(file.get(), old.st_mode & 07777) == 0;
  if (!alike) {
    ::unlink(fresh.c_str());
    return false;
  }
  Output out(std::move(file), fresh);
  out.put(text);
  if (out.failed_.value() == 0 && ::rename(fresh.c_str(), real.get()) == 0) {
    file_ = std::move(out.file_);
    fd_ = file_.get();
    return true;
  }
  // On a full disk the text before stays.
  if (failed_.value() == 0) {
    failed_ = out.failed_.value() != 0 ? out.failed_ : base::Errno::last();
  }
  ::unlink(fresh.c_str());
  return true;
}

void Output::replace(std::string_view text) {
  if (rewritable() && replace_by_rename(text)) return;
  if (rewritable() && (::ftruncate(fd_, 0) != 0 || ::lseek(fd_, 0, SEEK_SET) != 0)) {
    if (failed_.value() == 0) failed_ = base::Errno::last();
    return;
  }
  write(text);
}

void Output::flush() {
  put(gathered_);
  gathered_.clear();
}

void Output::write(std::string_view text) {
  if (!gathers_) {
    put(text);
    return;
  }
  constexpr std::size_t kMost = 64UL * 1024;
  gathered_ += text;
  if (gathered_.size() >= kMost) flush();
}

void Output::put(std::string_view text) {
  if (backlog_) return backlog_->put(text, Backlog::Patience::kWhileRead);
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
