#include "tracer/engine/call_passer.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <cstdint>
#include <iterator>
#include <utility>

#include "tracer/kernel/filter_listener.h"
#include "tracer/kernel/quiet_thread.h"

namespace stucktrace::engine {

CallPasser::~CallPasser() {
  if (!thread_.joinable()) return;
  ending_.store(true);
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t told = ::write(wake_.get(), &one, sizeof one);
  thread_.join();
}

void CallPasser::add(base::UniqueFd listener) {
  {
    const std::scoped_lock lock(mutex_);
    ++alive_;
    added_.push_back(std::move(listener));
  }
  if (!thread_.joinable()) {
    wake_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    thread_ = kernel::quiet_thread([this] { work(); });
  }
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t told = ::write(wake_.get(), &one, sizeof one);
}

bool CallPasser::busy() {
  const std::scoped_lock lock(mutex_);
  return alive_ > 0;
}

void CallPasser::wait(base::Nanoseconds limit) {
  std::unique_lock lock(mutex_);
  fewer_.wait_for(lock, limit, [this] { return alive_ == 0; });
}

void CallPasser::work() {
  std::vector<base::UniqueFd> listeners;
  while (!ending_.load()) {
    {
      const std::scoped_lock lock(mutex_);
      listeners.insert(listeners.end(), std::make_move_iterator(added_.begin()),
                       std::make_move_iterator(added_.end()));
      added_.clear();
    }
    std::vector<pollfd> waits{{wake_.get(), POLLIN, 0}};
    for (const base::UniqueFd& listener : listeners) waits.push_back({listener.get(), POLLIN, 0});
    if (::poll(waits.data(), waits.size(), -1) < 0) continue;
    std::uint64_t count = 0;
    if (waits[0].revents != 0) {
      [[maybe_unused]] const ssize_t got = ::read(wake_.get(), &count, sizeof count);
    }
    for (std::size_t i = listeners.size(); i-- > 0;) {
      const auto events = static_cast<unsigned>(waits[i + 1].revents);
      if ((events & POLLIN) != 0) {
        kernel::pass_one(listeners[i]);
      } else if (events != 0) {
        // POLLHUP: nobody is left under this filter.
        listeners.erase(listeners.begin() + static_cast<std::ptrdiff_t>(i));
        const std::scoped_lock lock(mutex_);
        --alive_;
        fewer_.notify_all();
      }
    }
  }
}

}  // namespace stucktrace::engine
