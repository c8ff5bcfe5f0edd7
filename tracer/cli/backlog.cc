#include "tracer/cli/backlog.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

namespace stucktrace::cli {

ssize_t write_now(int fd, std::string_view text) {
  const ssize_t sent = ::send(fd, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent >= 0 || errno != ENOTSOCK) return sent;
  pollfd room{fd, POLLOUT, 0};
  if (::poll(&room, 1, 0) == 0) {
    errno = EAGAIN;
    return -1;
  }
  // What a pipe with room takes without waiting (pipe(7)).
  return ::write(fd, text.data(), std::min<std::size_t>(text.size(), PIPE_BUF));
}

Backlog::Backlog(int fd, std::string name, const std::atomic<bool>& hurry, const base::Clock& clock)
    : fd_(fd), name_(std::move(name)), hurry_(hurry), clock_(clock), read_at_(clock.now()) {}

bool Backlog::has_room_for(std::size_t size) const {
  const std::size_t kept = kept_.size() - gone_;
  return kept == 0 || kept + size <= (hurry_.load() ? kMostInHurry : kMost);
}

void Backlog::push() {
  while (gone_ < kept_.size() && failed_.value() == 0) {
    const ssize_t written = write_now(fd_, std::string_view{kept_}.substr(gone_));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == EAGAIN) return;
    if (written < 0) {
      failed_ = base::Errno::last();
      break;
    }
    gone_ += static_cast<std::size_t>(written);
    read_at_ = clock_.now();
  }
  kept_.clear();
  gone_ = 0;
}

void Backlog::wait_for_reader(std::unique_lock<std::mutex>& lock, std::size_t size) {
  constexpr int kTurnMs = 20;
  while (!has_room_for(size) && !hurry_.load() && clock_.now() - read_at_ < kPatience) {
    lock.unlock();
    pollfd room{fd_, POLLOUT, 0};
    ::poll(&room, 1, kTurnMs);
    lock.lock();
    push();
  }
}

void Backlog::tell_gap() {
  if (gap_ == 0) return;
  kept_ += fmt::format("stucktrace: {} lines left out here: {} was not read\n", gap_, name_);
  gap_ = 0;
}

void Backlog::put(std::string_view lines, Patience patience) {
  std::unique_lock lock(mutex_);
  if (gone_ == kept_.size()) read_at_ = clock_.now();
  push();
  if (patience == Patience::kWhileRead) wait_for_reader(lock, lines.size());
  if (failed_.value() != 0) return;
  if (!has_room_for(lines.size())) {
    const auto count = static_cast<std::size_t>(std::ranges::count(lines, '\n'));
    gap_ += count;
    left_out_ += count;
    return;
  }
  // The front is cut off at times, not at each write.
  if (gone_ > kept_.size() / 2) {
    kept_.erase(0, gone_);
    gone_ = 0;
  }
  tell_gap();
  kept_ += lines;
  push();
}

void Backlog::retry() {
  const std::scoped_lock lock(mutex_);
  push();
}

std::string Backlog::take() {
  const std::scoped_lock lock(mutex_);
  push();
  std::string rest = kept_.substr(gone_);
  if (left_out_ > 0) {
    rest += fmt::format("stucktrace: {} lines were left out in all, since {} was not read\n",
                        left_out_, name_);
  }
  kept_.clear();
  gone_ = 0;
  return rest;
}

base::Errno Backlog::failed() const {
  const std::scoped_lock lock(mutex_);
  return failed_;
}

}  // namespace stucktrace::cli
