#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <thread>

#include "tracer/engine/tracer.h"

namespace stucktrace::engine {

using kernel::Waiter;
using kernel::WaitHow;

namespace {

// Without one nobody could continue a job that has stopped.
bool has_terminal() {
  return base::UniqueFd(::open("/dev/tty", O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC)).valid();
}

// A call that a stack is wanted at is told of.
TracerOptions with_stack_calls(TracerOptions options) {
  if (!options.stacks_at) return options;
  options.trace.add(*options.stacks_at);
  if (options.filter) add_stack_calls(*options.filter, *options.stacks_at);
  return options;
}

std::unique_ptr<CallStacks> stacks_at(const TracerOptions& options) {
  return options.stacks_at ? std::make_unique<CallStacks>(*options.stacks_at) : nullptr;
}

}  // namespace

Tracer::Tracer(TracerOptions options, const base::Clock& clock, model::EventSink& sink,
               base::Log& log)
    : options_(with_stack_calls(std::move(options))),
      clock_(clock),
      log_(log),
      emitter_(options_, clock, sink),
      own_ticker_(std::make_unique<Ticker>(options_.tick)),
      ticker_(*own_ticker_),
      beat_(ticker_),
      placer_(options_.placement),
      stacks_(stacks_at(options_)) {}

Tracer::Tracer(TracerOptions options, const base::Clock& clock, model::EventSink& sink,
               base::Log& log, Ticker& ticker)
    : options_(with_stack_calls(std::move(options))),
      clock_(clock),
      log_(log),
      emitter_(options_, clock, sink),
      ticker_(ticker),
      beat_(ticker_),
      placer_(options_.placement),
      stacks_(stacks_at(options_)) {}

Tracer::~Tracer() {
  if (table_.empty()) return;
  Outcome ignored;
  detach_all("the tracer ends", ignored);
}

base::Result<Outcome> Tracer::run(TickObserver& observer) {
  Outcome outcome;
  bool leave = false;
  while ((!table_.empty() || root_untraced_ || passer_.busy()) && !leave) {
    // Not between reports that were taken together: a task whose end is among them has been waited
    // for, and its number may be another's.
    if (waiter_.drained() && beat_.take_tick()) {
      housekeeping();
      obey_signals(observer, outcome, leave);
      for (; pictures_wanted_ > 0; --pictures_wanted_) observer.on_picture_wanted();
      if (observer.on_tick(clock_.now()) == Directive::kDetach) leave = true;
      if (leave) break;
    }
    if (table_.empty() && !root_untraced_) {
      // Those that were let go need us for their filter.
      passer_.wait(options_.tick);
      continue;
    }
    kernel::WaitReport report;
    switch (waiter_.next(WaitHow::kBlock, report, table_.size() == 1)) {
      case Waiter::Outcome::kReport:
        dispatch(report);
        if (!requesters_.empty()) resume_requesters();
        break;
      case Waiter::Outcome::kNothing:
      case Waiter::Outcome::kInterrupted:
        break;
      case Waiter::Outcome::kNoTracees:
        // Somebody else reaped what we traced: nothing is left to follow.
        for (const base::Tid tid : table_.all()) table_.remove(tid);
        root_untraced_ = false;
        break;
      case Waiter::Outcome::kFailed:
        return base::system_error("waiting for tracees", base::Errno::last());
    }
  }
  // Detaching is no work for the idle class, nor is what comes after.
  placer_.finish();
  if (!table_.empty()) {
    detach_all(outcome.ended_by_signal ? "interrupted" : "asked to let go", outcome);
    outcome.detached = true;
  }
  outcome.root_exit = root_exit_;
  if (exec_error_.valid() && !executed_) {
    int code = 0;
    while (::read(exec_error_.get(), &code, sizeof code) == sizeof code) {
      if (code > 0) outcome.exec_failure = base::Errno{code};
    }
  }
  return outcome;
}

kernel::Stop Tracer::read_stop(const kernel::WaitReport& report, kernel::TraceStyle style) {
  kernel::SiginfoAnswer answer = kernel::SiginfoAnswer::kNotAsked;
  if (kernel::needs_siginfo(report.status, style)) {
    const auto info = kernel::siginfo(kernel::Stopped{report.tid});
    answer = !info && info.error().code.value() == EINVAL ? kernel::SiginfoAnswer::kNoSiginfo
                                                          : kernel::SiginfoAnswer::kSignal;
  }
  return kernel::classify(report.status, style, answer);
}

void Tracer::dispatch(const kernel::WaitReport& report) {
  const base::Instant now = clock_.now();
  ++stops_;
  if (killing_) kill_stopped(report);
  if (report.status.stopped()) placer_.on_stop(report.tid, now, table_.size() == 1);
  const Emitter::StopTime at(emitter_, now);
  Tracee* tracee = table_.find(report.tid);
  if (tracee == nullptr) tracee = in_place_of_main(report);
  if (tracee == nullptr) {
    // A new task may stop before its maker's event arrives (ptrace(2)); an ended one that exec
    // removed may still report its exit.
    if (report.status.stopped()) {
      hold(report);
    } else {
      unknown_ended(report);
    }
    return;
  }
  const kernel::Stop stop = read_stop(report, tracee->style);
  std::visit(
      [&](const auto& what) {
        // Exits carry no ptrace-stop; their handlers never use the token.
        on(*tracee, kernel::Stopped{report.tid}, what);
      },
      stop);
}

// The thread that calls execve(2) goes on under its main thread's number, also where that one had
// ended before we came. Null if the report is of something else.
Tracee* Tracer::in_place_of_main(const kernel::WaitReport& report) {
  const kernel::Stop stop =
      kernel::classify(report.status, options_.style, kernel::SiginfoAnswer::kNotAsked);
  const kernel::Stopped stopped{report.tid};
  const Tracee* caller = nullptr;
  if (std::holds_alternative<kernel::Execed>(stop)) {
    if (const auto former = kernel::event_message(stopped)) {
      caller = table_.find(base::Tid{static_cast<std::int32_t>(*former)});
    }
  } else if (report.status.stopped() &&
             is_trap_of_exec(report.tid, stopped, report.status.stop_signal())) {
    // Nothing says who it was: the one of those we attach to that is left.
    for (const base::Tid tid : table_.threads_of(base::Pid{report.tid.value()})) {
      const Tracee* one = table_.find(tid);
      if (one->state == TraceeState::kAttaching) caller = one;
    }
  }
  if (caller == nullptr) return nullptr;
  const base::Tid former = caller->tid;
  const TraceeState state = caller->state;
  const bool stop_pending = caller->own_stop_pending;
  Tracee& main = table_.add(report.tid, caller->pid, caller->style, state);
  if (state == TraceeState::kAttaching) {
    main.own_stop_pending = stop_pending;
    table_.remove(former);
  }
  return &main;
}

// The command that had to be let go has ended as an ordinary child; or a task was killed so soon
// that its maker's event is still to come.
void Tracer::unknown_ended(const kernel::WaitReport& report) {
  const kernel::Stop stop =
      kernel::classify(report.status, options_.style, kernel::SiginfoAnswer::kNotAsked);
  model::TaskExit end;
  if (const auto* exit = std::get_if<kernel::Exited>(&stop)) {
    end.code = exit->status;
  } else if (const auto* killed = std::get_if<kernel::Killed>(&stop)) {
    end = {.signaled = true, .code = killed->signo, .core_dumped = killed->core_dumped};
  } else {
    return;
  }
  if (root_untraced_ && report.tid == base::main_thread(root_)) {
    root_exit_ = end;
    root_untraced_ = false;
    return;
  }
  // Others are tasks that an exec had removed already; their numbers will come again.
  constexpr base::Nanoseconds kFresh = std::chrono::seconds{1};
  const base::Instant now = clock_.now();
  std::erase_if(early_ends_, [&](const EarlyEnd& early) { return now - early.at > kFresh; });
  early_ends_.push_back({report.tid, end, now});
}

void Tracer::resume(Tracee& tracee, kernel::Stopped stopped, int signo) {
  placer_.on_resume(clock_.now());
  // Any stop takes the place of one that was asked for (ptrace_stop() in kernel/signal.c).
  if (tracee.preparing && tracee.style == kernel::TraceStyle::kSeize) {
    static_cast<void>(kernel::interrupt(tracee.tid));
  }
  // With a filter only a call it has picked runs to a syscall-stop, its exit.
  const bool free_run = tracee.state == TraceeState::kBeforeExec ||
                        (filtered_ && tracee.state != TraceeState::kInSyscall);
  // A tracee killed in its stop is gone here; its exit report follows.
  static_cast<void>(kernel::resume(
      std::move(stopped), free_run ? kernel::Resume::kFreely : kernel::Resume::kToSyscall, signo));
}

void Tracer::housekeeping() {
  resend_own_stops();
  for (const base::Tid tid : table_.all()) {
    Tracee* tracee = table_.find(tid);
    if (tracee == nullptr) continue;
    if (tracee->state == TraceeState::kHeld &&
        clock_.now() - tracee->held_since > options_.hold_limit) {
      adopt(*tracee);
      continue;
    }
    if (tracee->state != TraceeState::kGroupStopped || !tracee->parked) continue;
    // PTRACE_ATTACH knows no PTRACE_LISTEN: a parked tracee does not wake by SIGCONT. But SIGCONT,
    // even if ignored, is queued for a traced task: that is seen here.
    const auto status = procfs_.status(tracee->pid, tracee->tid);
    constexpr std::uint64_t kContinue = 1ULL << (SIGCONT - 1);
    if (!status || ((status->pending | status->shared_pending) & kContinue) == 0) continue;
    for (const base::Tid sibling : table_.threads_of(tracee->pid)) {
      Tracee* thread = table_.find(sibling);
      if (thread->state != TraceeState::kGroupStopped || !thread->parked) continue;
      kernel::Stopped stopped = std::move(*thread->parked);
      thread->parked.reset();
      thread->own_stop_pending = false;  // SIGCONT flushes pending stop signals (signal(7))
      thread->state = TraceeState::kRunning;
      thread->continued = true;
      emitter_.emit(thread->pid, thread->tid, model::Continued{});
      resume(*thread, std::move(stopped));
    }
  }
  if (job_stop_signal_ != 0) stop_self_with_job();
}

void Tracer::obey_signals(TickObserver& observer, Outcome& outcome, bool& leave) {
  for (const Ticker::Received& signal : beat_.take_signals()) {
    // To its whole process group, of which the tool is one: the command has got it as well.
    if (root_ && is_from_tree(signal.sender)) continue;
    switch (signal.signo) {
      case SIGUSR1:
        ++pictures_wanted_;
        break;
      case SIGTSTP:
        break;  // the job's own stop decides, see stop_self_with_job()
      default:
        if (!signal.by_terminal && observer.on_told_to_end(signal.signo)) {
          if (!outcome.ended_by_signal) outcome.ended_by_signal = signal.signo;
          break;
        }
        if (root_exit_ && !signal.by_terminal) {
          // The command's number is nobody's any more, or a stranger's: those it left behind are
          // asked.
          leave = outcome.ended_by_signal && !filtered_;
          outcome.ended_by_signal = signal.signo;
          if (!leave) signal_tree(signal.signo);
        } else if (root_ && !signal.by_terminal) {
          // Like timeout(1): the command is asked first; a second request ends the tool itself.
          if (!outcome.ended_by_signal) {
            outcome.ended_by_signal = signal.signo;
            static_cast<void>(kernel::send_signal(root_, signal.signo));
            break;
          }
          if (filtered_) {
            log_.say(base::LogLevel::kNormal,
                     "the command runs under a filter that needs its tracer: it is followed until "
                     "it ends (SIGKILL ends both)");
            static_cast<void>(kernel::send_signal(root_, signal.signo));
            break;
          }
          leave = true;
        } else if (!root_) {
          outcome.ended_by_signal = signal.signo;
          leave = true;
        }
        // A key typed at the terminal reached the command as well; it decides.
    }
  }
}

void Tracer::pass_signals(TickObserver& observer) {
  for (const Ticker::Received& signal : beat_.take_signals()) {
    if (signal.signo == SIGUSR1 || signal.signo == SIGTSTP) continue;
    static_cast<void>(observer.on_told_to_end(signal.signo));
  }
}

// Who has just ended may have sent a signal that is looked at now.
void Tracer::remember_end(base::Pid pid) {
  if (!root_) return;
  constexpr base::Nanoseconds kFresh = std::chrono::seconds{1};
  const base::Instant now = clock_.now();
  while (!late_.empty() && now - late_.front().second > kFresh) late_.pop_front();
  late_.emplace_back(pid, now);
}

bool Tracer::is_from_tree(base::Pid sender) const {
  if (!sender) return false;
  const auto ended = std::ranges::find(late_, sender, [](const auto& one) { return one.first; });
  return ended != late_.end() || !table_.threads_of(sender).empty();
}

// The launched command was stopped, as from the keyboard. The shell waits for its job, which is us:
// stop too, so that it gets its terminal back; its SIGCONT continues the whole group. Not while
// anything of the job still runs, which may be what is to continue the rest: it would stand at its
// next stop.
void Tracer::stop_self_with_job() {
  const Tracee* root = table_.find(base::main_thread(root_));
  if (root_exit_ || root == nullptr || root->state != TraceeState::kGroupStopped) {
    job_stop_signal_ = 0;
    return;
  }
  const pid_t job = getpgrp();
  for (const base::Tid tid : table_.all()) {
    const Tracee* tracee = table_.find(tid);
    if (tracee->state != TraceeState::kGroupStopped && getpgid(tracee->pid.value()) == job) return;
  }
  const int signo = std::exchange(job_stop_signal_, 0);
  if (getpgid(root_.value()) != job || !has_terminal()) return;
  log_.say(base::LogLevel::kVerbose, fmt::format("stopped by signal {} with the command", signo));
  ::raise(SIGSTOP);
}

}  // namespace stucktrace::engine
