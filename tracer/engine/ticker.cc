#include "tracer/engine/ticker.h"

#include <algorithm>
#include <ctime>
#include <utility>

#include "tracer/kernel/ptrace_ops.h"

namespace stucktrace::engine {
namespace {

// To end wait4 with EINTR: a handler must exist, and without SA_RESTART.
void kicked(int, siginfo_t*, void* context) {
  kernel::break_off_attaching(context);
}

timespec to_timespec(base::Nanoseconds duration) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(duration);
  return {seconds.count(), (duration - seconds).count()};
}

}  // namespace

int Ticker::kick_signal() {
  return SIGRTMIN + 5;
}

Ticker::Ticker(base::Nanoseconds interval) : interval_(interval) {
  struct sigaction action{};
  action.sa_sigaction = kicked;
  action.sa_flags = SA_SIGINFO;
  sigaction(kick_signal(), &action, nullptr);
  sigemptyset(&handled_);
  for (const int signo : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGTSTP}) {
    // Blocked it would be queued although it is ignored (nohup, a shell's background job).
    struct sigaction present{};
    sigaction(signo, nullptr, &present);
    const bool ignored = (present.sa_flags & SA_SIGINFO) == 0 && present.sa_handler == SIG_IGN;
    if (!ignored) sigaddset(&handled_, signo);
  }
  sigemptyset(&shielded_);
  for (const int signo : {SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGIO, SIGPWR, SIGSTKFLT, SIGXCPU,
                          SIGXFSZ, SIGTTIN, SIGTTOU}) {
    sigaddset(&shielded_, signo);
  }
  for (int signo = SIGRTMIN; signo <= SIGRTMAX; ++signo) {
    if (signo != kick_signal()) sigaddset(&shielded_, signo);
  }
  pthread_sigmask(SIG_BLOCK, &handled_, &original_mask_);
  pthread_sigmask(SIG_BLOCK, &shielded_, nullptr);
  thread_ = std::jthread([this](const std::stop_token& stop) { work(stop); });
}

Ticker::~Ticker() {
  thread_.request_stop();
  pthread_kill(thread_.native_handle(), kick_signal());
  thread_.join();
  // What arrived unseen must not strike at the unblocking: it was meant for a run that is over.
  const timespec now{};
  for (const sigset_t* set : {&handled_, &shielded_}) {
    while (sigtimedwait(set, nullptr, &now) > 0) {
    }
  }
  pthread_sigmask(SIG_SETMASK, &original_mask_, nullptr);
}

Ticker::Beat::Beat(Ticker& ticker) : ticker_(ticker), owner_(pthread_self()) {
  sigset_t kick;
  sigemptyset(&kick);
  sigaddset(&kick, kick_signal());
  pthread_sigmask(SIG_UNBLOCK, &kick, nullptr);
  const std::scoped_lock lock(ticker_.mutex_);
  ticker_.beats_.push_back(this);
}

Ticker::Beat::~Beat() {
  const std::scoped_lock lock(ticker_.mutex_);
  std::erase(ticker_.beats_, this);
}

std::vector<Ticker::Received> Ticker::Beat::take_signals() {
  const std::scoped_lock lock(ticker_.mutex_);
  return std::exchange(signals_, {});
}

void Ticker::work(const std::stop_token& stop) {
  const timespec interval = to_timespec(interval_);
  // Blocked and waited for, so that the kick at the end cannot come a moment too early.
  sigset_t kick;
  sigemptyset(&kick);
  sigaddset(&kick, kick_signal());
  pthread_sigmask(SIG_BLOCK, &kick, nullptr);
  sigset_t awaited = handled_;
  sigaddset(&awaited, kick_signal());
  while (!stop.stop_requested()) {
    siginfo_t info{};
    const int signo = sigtimedwait(&awaited, &info, &interval);
    if (signo == kick_signal()) continue;
    const std::scoped_lock lock(mutex_);
    for (Beat* beat : beats_) {
      if (signo > 0) {
        const bool sent = info.si_code <= 0;
        beat->signals_.push_back(
            {signo, info.si_code == SI_KERNEL, sent ? base::Pid{info.si_pid} : base::Pid{}});
      }
      beat->due_.store(true, std::memory_order_relaxed);
      pthread_kill(beat->owner_, kick_signal());
    }
  }
}

}  // namespace stucktrace::engine
