#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tracer/base/clock.h"
#include "tracer/base/log.h"
#include "tracer/base/result.h"
#include "tracer/base/unique_fd.h"
#include "tracer/engine/call_passer.h"
#include "tracer/engine/call_stacks.h"
#include "tracer/engine/emitter.h"
#include "tracer/engine/inherited.h"
#include "tracer/engine/options.h"
#include "tracer/engine/placer.h"
#include "tracer/engine/ticker.h"
#include "tracer/engine/tracee_table.h"
#include "tracer/kernel/procfs.h"
#include "tracer/kernel/seccomp_filter.h"
#include "tracer/kernel/stop.h"
#include "tracer/kernel/waiter.h"
#include "tracer/model/event.h"

namespace stucktrace::engine {

enum class Directive : std::uint8_t { kGoOn, kDetach };

// Called on the tracer's thread about every tick, between two stops.
class TickObserver {
 public:
  virtual ~TickObserver() = default;
  virtual Directive on_tick(base::Instant now) = 0;
  // SIGUSR1: the user wants the present picture.
  virtual void on_picture_wanted() {}
  // The tool was told to end (SIGTERM and its like). True: the observer sees to it.
  virtual bool on_told_to_end(int /*signo*/) { return false; }
};

struct Outcome {
  std::optional<model::TaskExit> root_exit;  // launch: how the command ended
  bool detached = false;                     // let go of a tree that goes on
  std::optional<int> ended_by_signal;        // a signal to the tool itself was the reason
  std::size_t left_behind = 0;               // tasks that would not stop in time to be detached
  std::optional<base::Errno> exec_failure;   // launch: the command could not be executed
};

// A command to launch; nothing is looked up by the tracer itself.
struct Command {
  std::string path;               // resolved
  std::vector<std::string> argv;  // argv[0] as typed
  Inherited inherited;
};

// Follows a tree of tasks by ptrace and reports every event to the sink. All methods are called
// from the thread that made the object: ptrace belongs to a thread, not to a process (ptrace(2)).
class Tracer {
 public:
  Tracer(TracerOptions options, const base::Clock& clock, model::EventSink& sink, base::Log& log);
  // One of several, each on a thread of its own, that share a ticker.
  Tracer(TracerOptions options, const base::Clock& clock, model::EventSink& sink, base::Log& log,
         Ticker& ticker);
  // Lets go of whatever is still traced.
  ~Tracer();
  Tracer(const Tracer&) = delete;
  Tracer& operator=(const Tracer&) = delete;

  // Starts the command; it has not run any code of its own when this returns. The pid.
  base::Result<base::Pid> launch(const Command& command);
  // Attaches to every thread of the process. May be called for several processes before run().
  // Nothing stays attached if it fails.
  base::Result<void> attach(base::Pid pid);
  // Until the tree has ended, the observer says so, or the tool is told to stop.
  base::Result<Outcome> run(TickObserver& observer);
  // After run(): signals for the tool that came since, however they were sent. Who could decide
  // about a key typed at the terminal is no more.
  void pass_signals(TickObserver& observer);
  // The CPU the tracer's thread shares with a tracee just now, -1 if none: a good place to be
  // elsewhere. From any thread.
  int shared_cpu() const { return placer_.shared_cpu(); }
  struct Counters {
    std::uint64_t stops = 0;  // reports of wait4(2), exits included
    std::string placement;    // in words
  };
  Counters counters() const { return {stops_, placer_.description()}; }

  // ---- tree_end.cc; for the observer, on the tracer's thread
  // What is followed now, sorted.
  std::vector<base::Pid> processes() const;
  // To each of these; what is stopped by job control runs on to take it. After SIGKILL whatever
  // comes into being is killed as well.
  void signal_tree(int signo);
  // Tasks started, ended, or executing another program, so far.
  std::uint64_t task_changes() const { return task_changes_; }
  // launch: how the command's main process has ended; others may live.
  const std::optional<model::TaskExit>& command_exit() const { return root_exit_; }

 private:
  struct EarlyEnd {
    base::Tid tid;
    model::TaskExit exit;
    base::Instant at;
  };
  struct Requester {
    base::Tid tid;
    base::Pid target;
    bool fit = false;  // the target's threads are on their way out
  };

  // ---- loop.cc
  void dispatch(const kernel::WaitReport& report);
  Tracee* in_place_of_main(const kernel::WaitReport& report);
  void unknown_ended(const kernel::WaitReport& report);
  void housekeeping();
  void obey_signals(TickObserver& observer, Outcome& outcome, bool& leave);
  void resume(Tracee& tracee, kernel::Stopped stopped, int signo = 0);
  kernel::TraceeOptions tracee_options() const {
    return {.seccomp_stops = filtered_,
            .kill_on_exit = root_ && (filtered_ || options_.kill_on_exit)};
  }
  kernel::Stop read_stop(const kernel::WaitReport& report, kernel::TraceStyle style);
  void remember_end(base::Pid pid);
  bool is_from_tree(base::Pid sender) const;
  void stop_self_with_job();

  // ---- handlers.cc: one per kind of stop
  void on(Tracee&, kernel::Stopped, const kernel::SyscallStop&);
  void on(Tracee&, kernel::Stopped, const kernel::SeccompStop&);
  void on(Tracee&, kernel::Stopped, const kernel::GroupStopped&);
  void on(Tracee&, kernel::Stopped, const kernel::Trapped&);
  void on(Tracee&, kernel::Stopped, const kernel::MadeTask&);
  void on(Tracee&, kernel::Stopped, const kernel::VforkDone&);
  void on(Tracee&, kernel::Stopped, const kernel::Execed&);
  void on(Tracee&, kernel::Stopped, const kernel::Exiting&);
  void on(Tracee&, kernel::Stopped, const kernel::UnknownStop&);
  void on(Tracee&, kernel::Stopped, const kernel::Exited&);
  void on(Tracee&, kernel::Stopped, const kernel::Killed&);
  void on(Tracee&, kernel::Stopped, const kernel::ContinuedReport&);
  void enter_call(Tracee& tracee, const kernel::Stopped& stopped, const syscalls::RawCall& call);
  void tell_entry(const Tracee& tracee, const kernel::Stopped& stopped, bool open_at_attach);
  static std::optional<model::CallTimes> time_spent(Tracee& tracee);
  std::optional<std::uint64_t> clone_flags(const Tracee& maker, const kernel::Stopped& stopped);
  void exit_call(Tracee& tracee, const syscalls::RawResult& result);
  void attached(Tracee& tracee, kernel::Stopped stopped);
  void begin_to_follow(Tracee& tracee, const kernel::Stopped& stopped);
  void go_on_after_making(kernel::Stopped stopped, bool leaving);
  void hold(const kernel::WaitReport& report);
  void adopt(Tracee& held);
  void release(Tracee& held, kernel::Stopped stopped);
  void ended(Tracee& tracee, model::TaskExit exit);

  // ---- signal_delivery.cc
  void on(Tracee&, kernel::Stopped, const kernel::SignalDelivery&);
  bool is_trap_of_exec(base::Tid tid, const kernel::Stopped& stopped, int signo) const;
  bool stop_is_pending(const Tracee& tracee) const;
  void resend_own_stops();
  void look_for_own_stop(Tracee& tracee, const kernel::Stopped& stopped);
  void spare_from(int signo, const Tracee& tracee, const kernel::Stopped& stopped) const;
  bool woken_in_vain(const Tracee& tracee) const;
  static void bring_stop(Tracee& tracee);

  // ---- launch.cc
  void read_launch_report(const kernel::Stopped& stopped);

  // ---- ptrace_users.cc: tracees that want to trace
  bool step_aside(Tracee& tracee, kernel::Stopped& stopped, const syscalls::RawCall& call);
  void let_go_to_its_parent(Tracee& tracee, kernel::Stopped stopped);
  void let_go_for(const Tracee& requester, base::Pid target);
  void prepare_thread_of(base::Pid target, base::Tid requester);
  bool prepare(Tracee& tracee, kernel::Stopped& stopped);
  void go_on_unprepared(Tracee& tracee, kernel::Stopped stopped);
  void cannot_let_go(base::Pid target, const std::string& why);
  base::Result<void> make_fit(const kernel::Stopped& stopped, bool whole_process);
  void resume_requesters();
  void follow_untraced_clone(Tracee& tracee, const kernel::Stopped& stopped,
                             const syscalls::RawCall& call);
  static void put_clone_flags_back(Tracee& tracee, const kernel::Stopped& stopped);

  // ---- tree_end.cc
  void kill_stopped(const kernel::WaitReport& report);

  // ---- attach.cc
  struct Attached {
    std::size_t tasks = 0;
    std::optional<base::Error> not_yet;  // the rest has to wait: an execve(2) is on its way
  };
  // `again`: not the first time for this process.
  base::Result<Attached> attach_new_threads(base::Pid pid, bool again);
  bool has_lost_main(base::Pid pid);
  void let_exec_go_on(base::Pid pid);

  // ---- detach.cc
  void detach_all(const std::string& because, Outcome& outcome);
  void ask_to_stop(Tracee& tracee);
  void let_go(Tracee& tracee, kernel::Stopped stopped, int signo);
  void leave_at_call(Tracee& tracee, kernel::Stopped stopped, const kernel::SyscallInfo& info);
  void leave_at_next_stop(Tracee& tracee, kernel::Stopped stopped);
  static base::Nanoseconds longest_to_restart(const Tracee& tracee);
  void on_leaving(const kernel::WaitReport& report);

  TracerOptions options_;
  const base::Clock& clock_;
  base::Log& log_;
  Emitter emitter_;
  kernel::Procfs procfs_;
  kernel::Waiter waiter_;
  std::unique_ptr<Ticker> own_ticker_;
  Ticker& ticker_;
  Ticker::Beat beat_;
  Placer placer_;
  TraceeTable table_;
  base::Pid root_;             // launched command, 0 in attach mode
  base::UniqueFd exec_error_;  // launch: errno of a failed exec arrives here
  std::optional<model::TaskExit> root_exit_;
  bool root_untraced_ = false;                            // launch: let go, still our child
  std::deque<std::pair<base::Pid, base::Instant>> late_;  // processes that have just ended
  int job_stop_signal_ = 0;                               // the launched job stopped: stop with it
  bool executed_ = false;                                 // launch: the first exec happened
  bool filtered_ = false;          // launch: a filter chooses where the tree stops
  kernel::FilterProgram program_;  // the filter itself, if there is one
  CallPasser passer_;
  // Stopped at the entry of a ptrace(2) call until the process it names is let go.
  std::vector<Requester> requesters_;
  // Tasks that ended before their maker's event, of the last second.
  std::vector<EarlyEnd> early_ends_;
  std::uint64_t stops_ = 0;
  std::uint64_t task_changes_ = 0;
  std::unique_ptr<CallStacks> stacks_;  // null: none are wanted
  bool killing_ = false;
  std::size_t pictures_wanted_ = 0;  // SIGUSR1 since the last tick
};

}  // namespace stucktrace::engine
